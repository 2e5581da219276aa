"""Limits on connections and requests: what is over them is refused, counted and named."""
import contextlib
import socket

from http_client import RawClient
from ports import free_port
from scripted import reply, values_of
from waiting import wait_until


def request(line, *fields, body=b""):
    return b"\r\n".join([line, b"Host: a.example", *fields, b"", body])


def answer_each(connection):
    while True:
        connection.read_head()
        connection.send(reply())


def refused(balancer, reason):
    return balancer.metrics().sum("quoit_client_connections_refused_total", reason=reason)


@contextlib.contextmanager
def connected(port, source="127.0.0.1"):
    """A connection that quoit has taken, from an address of this machine."""
    with RawClient(port, source=source) as client:
        assert is_served(client)
        yield client


def is_served(client):
    """One request: answered, or the connection was closed instead."""
    try:
        client.send(request(b"GET / HTTP/1.1"))
        client.read_until(b"\r\n\r\nok")
    except (AssertionError, ConnectionError):
        return False
    return True


def is_taken(port, source="127.0.0.1"):
    with RawClient(port, source=source) as client:
        return is_served(client)


# --- connections ----------------------------------------------------------------------------------


def test_connections_over_the_limit_are_closed_and_room_is_used_again(scripted):
    port, origin = scripted(answer_each, {
        "workers": 2, "client": {"max_connections": 3, "max_connections_per_address": 0}})
    with contextlib.ExitStack() as stack:
        busy = [stack.enter_context(connected(port)) for _ in range(3)]
        for client in busy:
            client.send(b"GET / HTTP/1.1\r\n")
        received = 3 * len(request(b"GET / HTTP/1.1")) + 3 * len(b"GET / HTTP/1.1\r\n")
        wait_until(lambda: origin.balancer.metrics().sum(
            "quoit_client_received_bytes_total") == received)
        assert not is_taken(port)
        assert refused(origin.balancer, "too_many_connections") == 1
        busy[0].sock.close()
        wait_until(lambda: is_taken(port), 5, "room for another connection")
    [event, *_] = origin.balancer.events("connections_refused")
    assert event["reason"] == "too_many_connections" and event["last_client"] == "127.0.0.1"


def test_an_idle_connection_makes_room_for_a_new_one(scripted):
    """The one that has been idle longest; those that are busy stay."""
    port, origin = scripted(answer_each, {
        "client": {"max_connections": 3, "max_connections_per_address": 0}})
    with connected(port) as busy, connected(port) as first, connected(port) as second:
        busy.send(b"GET / HTTP/1.1\r\n")
        assert is_served(second) and is_served(first) and is_served(second)
        with connected(port) as new:
            assert first.read_to_end() == b""
            assert is_served(second) and is_served(new)
        busy.send(b"Host: a.example\r\n\r\n")
        busy.read_until(b"\r\n\r\nok")
    metrics = origin.balancer.metrics()
    assert metrics.sum("quoit_client_connections_evicted_total") == 1
    assert refused(origin.balancer, "too_many_connections") == 0


def test_a_flood_of_idle_connections_does_not_shut_others_out(scripted):
    """From many addresses, so that no limit of an address helps."""
    port, origin = scripted(answer_each, {"client": {"max_connections": 50}})
    with contextlib.ExitStack() as stack:
        for i in range(200):
            stack.enter_context(RawClient(port, source=f"127.0.{i % 20}.{2 + i // 20}"))
        for _ in range(20):
            assert is_taken(port)
    assert refused(origin.balancer, "too_many_connections") == 0


def test_an_address_has_its_limit_in_all_workers_together(scripted):
    port, origin = scripted(answer_each, {
        "workers": 2, "client": {"max_connections_per_address": 4}})
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(connected(port))
        for _ in range(4):  # whichever worker gets it
            assert not is_taken(port)
        stack.enter_context(connected(port, "127.0.0.9"))
        assert refused(origin.balancer, "address_full") == 4
    wait_until(lambda: is_taken(port), 5, "the address to be served again")


def test_one_address_cannot_take_all_connections_by_default(scripted):
    port, origin = scripted(answer_each, {"client": {"max_connections": 4}})
    with connected(port), connected(port):
        assert not is_taken(port)
        assert is_taken(port, "127.0.0.9")
    assert refused(origin.balancer, "address_full") == 1


def test_trusted_proxies_are_exempt_from_the_limit_of_an_address(scripted):
    port, origin = scripted(answer_each, {"client": {
        "max_connections_per_address": 1, "trusted_proxies": ["127.0.0.9/32"]}})
    with connected(port, "127.0.0.9"), connected(port, "127.0.0.9"), connected(port):
        assert is_taken(port, "127.0.0.9")
        assert not is_taken(port)
    assert refused(origin.balancer, "address_full") == 1


def test_a_full_listener_leaves_the_others_open(scripted):
    small, large = free_port(), free_port()
    _, origin = scripted(answer_each, {"listeners": [
        {"address": f"127.0.0.1:{small}", "max_connections": 1},
        {"address": f"127.0.0.1:{large}"}]})
    with connected(small), connected(large):
        assert not is_taken(small)
        assert is_taken(large)
    assert refused(origin.balancer, "listener_full") == 1


def test_refusals_by_the_hundred_make_one_line_in_the_event_log(scripted):
    port, origin = scripted(answer_each, {"client": {"max_connections_per_address": 1}})
    with connected(port):
        for _ in range(200):
            assert not is_taken(port)
    assert refused(origin.balancer, "address_full") == 200
    assert len(origin.balancer.events("connections_refused")) <= 2  # 10 s apart
    assert origin.balancer.metrics().sum("quoit_client_connections_total") == 1


# --- requests of a connection ---------------------------------------------------------------------


def test_the_last_request_of_a_connection_is_answered_with_its_end(scripted):
    port, _ = scripted(answer_each, {"client": {"max_requests": 3}})
    with RawClient(port) as client:
        closing = []
        for _ in range(3):
            client.send(request(b"GET / HTTP/1.1"))
            closing.append(values_of(client.read_until(b"\r\n\r\n"), b"connection"))
            client.read_exactly(2)
        assert closing == [[], [], [b"close"]]
        assert client.read_to_end() == b""


def test_pipelined_requests_beyond_the_last_one_are_not_served(scripted):
    port, origin = scripted(answer_each, {"client": {"max_requests": 2}})
    with RawClient(port) as client:
        client.send(request(b"GET / HTTP/1.1") * 5)
        assert client.read_to_end().count(b"HTTP/1.1 200 ") == 2
    assert origin.received.count(b"GET / ") == 2


def test_own_answers_count_as_requests_too(scripted):
    port, _ = scripted(answer_each, {
        "client": {"max_requests": 2}, "routes": [{"path": "/web", "pool": "web"}]})
    with RawClient(port) as client:
        client.send(request(b"GET /other HTTP/1.1") * 3)
        assert client.read_to_end().count(b"HTTP/1.1 404 ") == 2


def test_pipelined_requests_are_held_back_by_the_size_of_one_buffer(scripted):
    """While the first one waits for its answer, the others come in until the buffer is full; what
    is more stays with the client."""
    def script(connection):
        connection.read_head()
        connection.read_to_end()

    port, origin = scripted(script, {"buffer_size": "32k"})
    with RawClient(port) as client:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        client.sock.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            client.sock.sendall(request(b"GET / HTTP/1.1") * 400000)
        origin.wait_received(b"\r\n\r\n")
        taken = origin.balancer.metrics().sum("quoit_client_received_bytes_total")
        assert 0 < taken <= 256 << 10
    assert origin.received.count(b"GET / ") == 1
