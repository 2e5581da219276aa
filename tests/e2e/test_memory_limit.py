"""The memory budget of relay buffers: what is over it waits, and nothing is lost without a word."""
import contextlib
import socket
import threading
import time

import pytest

from http_client import RawClient
from ports import bind_free
from quoit_process import static_pool
from scripted import reply
from waiting import wait_until

KIB = 1 << 10
BUFFER = 32 * KIB
SIZE = 1024 * KIB
LIMIT = 1024 * KIB  # 24 buffers for requests, 32 in all
ONE_WORKER = {"memory_limit": "1m", "buffer_size": "32k", "client": {
    "header_timeout": "20s", "send_timeout": "20s"}}


def request(line, *fields, body=b""):
    return b"\r\n".join([line, b"Host: a.example", *fields, b"", body])


def with_client(**client):
    return {**ONE_WORKER, "client": {**ONE_WORKER["client"], **client}}


def answer_each(connection):
    while True:
        connection.read_head()
        connection.send(reply())


def answer_with(n):
    def script(connection):
        while True:
            connection.read_head()
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % n)
            connection.send(b"x" * n)

    return script


def buffer_bytes(balancer):
    return balancer.metrics().sum("quoit_buffer_bytes")


def waits(balancer):
    return balancer.metrics().sum("quoit_memory_waits_total")


@contextlib.contextmanager
def half_heads(port, n):
    """n clients, each in the middle of its head: a buffer each."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(RawClient(port)) for _ in range(n)]
        for client in clients:
            client.send(b"GET / HTTP/1.1\r\n")
        yield clients


def test_a_quiet_balancer_uses_no_buffers(scripted):
    port, origin = scripted(answer_each)
    with RawClient(port) as client:
        client.send(request(b"GET / HTTP/1.1"))
        client.read_until(b"\r\n\r\nok")
        wait_until(lambda: buffer_bytes(origin.balancer) == 0)


def test_requests_wait_while_others_use_the_memory_and_then_go_on(scripted):
    port, origin = scripted(answer_each, ONE_WORKER)
    with half_heads(port, 24) as clients:
        wait_until(lambda: buffer_bytes(origin.balancer) == 24 * BUFFER)
        with contextlib.ExitStack() as stack:
            waiting = [stack.enter_context(RawClient(port)) for _ in range(30)]
            for client in waiting:
                client.send(request(b"GET / HTTP/1.1"))
            waiting[0].sock.settimeout(0.5)
            with contextlib.suppress(TimeoutError):
                assert not waiting[0].sock.recv(1000), "served without memory"
            assert buffer_bytes(origin.balancer) == 24 * BUFFER
            for client in clients:  # those that have memory get on
                client.send(b"Host: a.example\r\n\r\n")
                client.read_until(b"\r\n\r\nok")
            waiting[0].sock.settimeout(15)
            for client in waiting:
                client.read_until(b"\r\n\r\nok")
    assert {line["status"] for line in origin.balancer.wait_access(54)} == {200}
    wait_until(lambda: buffer_bytes(origin.balancer) == 0)


def test_keep_alive_connections_wait_as_new_ones_do(scripted):
    """They are accepted already: their reads wait, are counted, and go on."""
    port, origin = scripted(answer_each, ONE_WORKER)
    with RawClient(port) as old:
        old.send(request(b"GET / HTTP/1.1"))
        old.read_until(b"\r\n\r\nok")
        with half_heads(port, 24) as clients:
            wait_until(lambda: buffer_bytes(origin.balancer) == 24 * BUFFER)
            old.send(request(b"GET / HTTP/1.1"))
            wait_until(lambda: waits(origin.balancer) == 1)
            clients[0].send(b"Host: a.example\r\n\r\n")
            clients[0].read_until(b"\r\n\r\nok")
            old.read_until(b"\r\n\r\nok")
    [event] = origin.balancer.events("memory_limit_reached")
    assert event["limit_bytes"] == LIMIT and event["used_bytes"] == 24 * BUFFER


def test_slow_readers_hold_no_more_than_the_limit_and_get_every_byte(scripted):
    n = 40
    port, origin = scripted(answer_with(SIZE), ONE_WORKER, max_idle=0)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(RawClient(port, receive_buffer=4096)) for _ in range(n)]
        for client in clients:
            client.send(request(b"GET / HTTP/1.1", b"Connection: close"))
        wait_until(lambda: waits(origin.balancer) > 0)
        assert buffer_bytes(origin.balancer) <= 2 * LIMIT
        bodies = []
        threads = [threading.Thread(target=lambda client=client: bodies.append(
            client.read_to_end().partition(b"\r\n\r\n")[2])) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert len(bodies) == n
    assert all(body == b"x" * SIZE for body in bodies)
    assert {line["reason"] for line in origin.balancer.wait_access(n)} == {"ok"}


@pytest.fixture(name="silent_address")
def address_that_takes_no_connection():
    """A listener whose queue is full drops further connection requests."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        bind_free(listener)
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield "127.0.0.1:%d" % listener.getsockname()[1]


def test_a_request_that_is_not_read_in_time_is_closed_and_counted(quoit, silent_address):
    """The memory is held by requests that wait for their connections."""
    balancer = quoit({
        **with_client(header_timeout="1s"), "workers": 1, "routes": [{"path": "/web", "pool": "web"}],
        "pools": {"web": static_pool([silent_address], timeouts={"connect": "60s"}, retries=0)}})
    with contextlib.ExitStack() as stack:
        old = stack.enter_context(RawClient(balancer.port))
        old.send(request(b"GET / HTTP/1.1"))
        old.read_until(b"no_route\n")
        for _ in range(24):
            stack.enter_context(RawClient(balancer.port)).send(request(b"GET /web HTTP/1.1"))
        wait_until(lambda: buffer_bytes(balancer) >= 24 * BUFFER)
        begun = time.monotonic()
        old.send(request(b"GET / HTTP/1.1"))
        assert old.read_to_end() == b""
        assert 0.8 < time.monotonic() - begun < 8
        assert balancer.metrics().sum("quoit_client_connections_refused_total",
                                      reason="memory_limit") >= 1


def test_a_response_that_is_not_read_in_time_ends_in_its_reason(scripted):
    """The memory is held by clients that do not read what comes for all of them at once."""
    go_on = threading.Event()

    def script(connection):
        connection.read_head()
        assert go_on.wait(30)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (8 * SIZE))
        for _ in range(8):
            connection.send(b"x" * SIZE)

    port, origin = scripted(script, ONE_WORKER, timeouts={"idle": "500ms"})
    with contextlib.ExitStack() as stack:
        for _ in range(24):
            client = stack.enter_context(RawClient(port, receive_buffer=4096))
            client.send(request(b"GET / HTTP/1.1"))
        wait_until(lambda: buffer_bytes(origin.balancer) == 24 * BUFFER)
        go_on.set()
        lines = wait_until(lambda: [line for line in origin.balancer.access()
                                    if line["reason"] == "memory_limit"], 15)
    assert {line["status"] for line in lines} <= {200, 503}
