"""What is sent again when a connection fails, and what never is."""
import threading

import pytest

from http_client import RawClient
from scripted import reply
from waiting import wait_until


def request(line, *fields, body=b""):
    return b"\r\n".join([line, b"Host: a.example", *fields, b"", body])


def count(origin, what):
    return origin.received.count(what)


def close_on_the_second(connection):
    """Serves one request; takes another one on the same connection and closes without a word."""
    connection.read_head()
    connection.send(reply(b"%d" % connection.number))
    if connection.number == 0:
        connection.read_head()
        return
    while True:
        connection.read_head()
        connection.send(reply(b"%d" % connection.number))


IDEMPOTENT = [b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE"]
OTHERS = [b"POST", b"PATCH", b"FROBNICATE", b"get"]


@pytest.mark.parametrize("method", IDEMPOTENT)
def test_an_idempotent_request_on_a_stale_connection_is_sent_again(scripted, method):
    port, origin = scripted(close_on_the_second)
    with RawClient(port) as client:
        client.send(request(b"GET /first HTTP/1.1"))
        client.read_until(b"\r\n\r\n0")
        client.send(request(method + b" /second HTTP/1.1"))
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    assert count(origin, method + b" /second ") == 2
    assert len(origin.connections) == 2


@pytest.mark.parametrize("method", OTHERS)
def test_another_request_on_a_connection_that_dies_is_502_and_sent_once(scripted, method):
    port, origin = scripted(close_on_the_second)
    with RawClient(port) as client:
        client.send(request(b"GET /first HTTP/1.1"))
        client.read_until(b"\r\n\r\n0")
        client.send(request(method + b" /second HTTP/1.1", b"Content-Length: 3", body=b"abc"))
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 502 ")
    assert count(origin, method + b" /second ") == 1


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_a_pooled_connection_that_was_closed_before_costs_nothing(scripted, method):
    def script(connection):
        connection.read_head()
        connection.send(reply(b"%d" % connection.number))

    port, origin = scripted(script)
    with RawClient(port) as client:
        for i in range(10):
            client.send(request(method + b" /%d HTTP/1.1" % i))
            assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
            assert client.read_exactly(1) == b"%d" % i
            assert origin.connections[i].finished.wait(5)
    assert [count(origin, b" /%d HTTP" % i) for i in range(10)] == [1] * 10


@pytest.mark.parametrize("first", ["request", "end"])
@pytest.mark.parametrize("method, size", [
    (b"POST", 3), (b"PUT", 3), (b"POST", 1 << 20), (b"PUT", 1 << 20), (b"GET", 0)])
def test_a_request_that_meets_the_end_of_its_pooled_connection_is_not_lost(
        scripted, first, method, size):
    """Both come in the same turn of the loop. The connection had ended before anything of the
    request was sent, so that any request can take another one, however large it is."""
    may_close = threading.Event()

    def script(connection):
        connection.read_head()
        if connection.number == 0:
            connection.send(reply())
            assert may_close.wait(10)
            return
        connection.read_exactly(size)
        connection.send(reply())
        connection.read_to_end()

    port, origin = scripted(script)
    with RawClient(port) as client:
        client.send(request(b"GET / HTTP/1.1"))
        client.read_until(b"\r\n\r\nok")
        origin.balancer.freeze()
        try:
            begin = request(method + b" / HTTP/1.1", b"Content-Length: %d" % size)
            begin += b"x" * min(size, 100000)
            if first == "request":
                client.send(begin)
            may_close.set()
            assert origin.connections[0].finished.wait(5)
            if first == "end":
                client.send(begin)
        finally:
            origin.balancer.thaw()
        try:
            client.send(b"x" * max(0, size - 100000))
        except OSError:
            pass  # refused: the answer tells
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    assert len(origin.connections) == 2


@pytest.mark.parametrize("framing, body, arrived", [
    (b"Content-Length: 10", b"0123456789", b"\r\n\r\n0123456789"),
    (b"Transfer-Encoding: chunked", b"a\r\n0123456789\r\n0\r\n\r\n",
     b"a\r\n0123456789\r\n0\r\n\r\n"),
])
def test_a_small_body_is_sent_again_with_its_request(scripted, framing, body, arrived):
    def script(connection):
        connection.read_until(arrived)
        if connection.number == 0:
            return
        connection.send(reply())

    port, origin = scripted(script, n_endpoints=2)
    with RawClient(port) as client:
        client.send(request(b"PUT / HTTP/1.1", framing, body=body))
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    assert [connection.received.endswith(arrived) for connection in origin.connections] == \
        [True, True]
    assert origin.connections[0].received == origin.connections[1].received  # the whole of it


def test_a_body_too_large_to_keep_is_not_sent_again(scripted):
    def script(connection):
        connection.read_head()
        connection.read_exactly(1 << 20)

    port, origin = scripted(script, n_endpoints=2)
    with RawClient(port) as client:
        client.send(request(b"PUT / HTTP/1.1", b"Content-Length: 1048576", body=b"x" * (1 << 20)))
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 502 ")
    assert len(origin.connections) == 1


def test_a_response_that_broke_off_inside_its_head_is_asked_for_again(scripted):
    def script(connection):
        connection.read_head()
        if connection.number == 0:
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Le")
            return
        connection.send(reply(b"whole"))

    port, _ = scripted(script, n_endpoints=2)
    with RawClient(port) as client:
        client.send(request(b"GET / HTTP/1.1"))
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        assert client.read_exactly(5) == b"whole"


def test_a_response_that_has_begun_is_never_asked_for_again(scripted):
    def script(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")

    port, origin = scripted(script, n_endpoints=2)
    with RawClient(port) as client:
        client.send(request(b"GET / HTTP/1.1"))
        answer = client.read_to_end()
    assert answer.endswith(b"\r\n\r\nhello") and answer.count(b"HTTP/1.1") == 1
    assert len(origin.connections) == 1


def test_attempts_are_bounded(scripted):
    """Each endpoint takes the request and closes: one attempt and `retries` more."""
    def script(connection):
        connection.read_head()

    port, origin = scripted(script, n_endpoints=5, retries=2)
    with RawClient(port) as client:
        client.send(request(b"GET / HTTP/1.1"))
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 502 ")
    assert len(origin.connections) == 3


def test_an_interim_response_does_not_forbid_another_attempt(scripted):
    """103 has gone to the client; the request is idempotent and may be sent again, since the
    client takes any number of interim responses."""
    def script(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        if connection.number > 0:
            connection.send(reply(b"final"))

    port, origin = scripted(script, n_endpoints=2)
    with RawClient(port) as client:
        client.send(request(b"GET / HTTP/1.1"))
        seen = client.read_until(b"\r\n\r\n")
        while seen.split(b" ")[1] == b"103":
            seen = client.read_until(b"\r\n\r\n")
        assert seen.startswith(b"HTTP/1.1 200 ")
        assert client.read_exactly(5) == b"final"
    assert len(origin.connections) == 2


def test_a_pooled_connection_that_stays_idle_is_closed_by_the_balancer(scripted):
    def script(connection):
        connection.read_head()
        connection.send(reply())
        connection.read_to_end()

    port, origin = scripted(script, timeouts={"keepalive": "300ms"})
    with RawClient(port) as client:
        client.send(request(b"GET / HTTP/1.1"))
        client.read_until(b"\r\n\r\nok")
        wait_until(lambda: origin.connections[0].closed, 5, "the idle connection is closed")
