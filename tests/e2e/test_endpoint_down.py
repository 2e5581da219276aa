"""What becomes of requests that wait for an endpoint when a probe finds it down."""
import contextlib
import socket

import pytest

from http_client import RawClient
from ports import bind_free
from quoit_process import static_pool
from scripted import ScriptedOrigin, reply
from waiting import wait_until


def request(line, *fields, body=b""):
    return b"\r\n".join([line, b"Host: a.example", *fields, b"", body])


@contextlib.contextmanager
def black_hole(address="127.0.0.1"):
    """A listener that accepts nobody and whose queue is full: connections to it stay half open."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        bind_free(listener, address)
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield "%s:%d" % listener.getsockname()


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_a_request_that_waits_for_a_connection_leaves_an_endpoint_that_goes_down(quoit, method):
    """Nothing of it has left yet: whatever its method, it may go elsewhere."""
    def script(connection):
        while True:
            connection.read_head()
            connection.send(reply())

    checks = ScriptedOrigin(lambda connection: None, n_addresses=2)  # probed instead of the pool
    origin = ScriptedOrigin(script)
    with black_hole("127.0.0.2") as hole, contextlib.ExitStack() as stack:
        balancer = quoit({"workers": 1, "pools": {"web": static_pool(
            [origin.addresses[0], hole], algorithm="round_robin", timeouts={"connect": "20s"},
            health_check={"type": "tcp", "port": int(checks.addresses[0].split(":")[1]),
                          "interval": "100ms", "rise": 1, "fall": 1})}})
        wait_until(lambda: balancer.usable("web") == 2)
        clients = [stack.enter_context(RawClient(balancer.port)) for _ in range(4)]
        for client in clients:
            client.send(request(method + b" / HTTP/1.1", b"Content-Length: 3", body=b"abc"))
        wait_until(lambda: balancer.metrics().sum(
            "quoit_endpoint_requests_in_flight", endpoint=hole) == 2)
        checks.close_listener(1)
        for client in clients:
            assert client.read_until(b"\r\n\r\nok").startswith(b"HTTP/1.1 200 ")
    assert origin.received.count(method + b" / ") == 4
    origin.close()
    checks.close()


def test_a_slow_answer_outlives_the_health_of_the_only_endpoint(quoit):
    """There is nowhere else to go: waiting on is better than failing."""
    def script(connection):
        connection.read_head()
        wait_until(lambda: balancer.usable("web") == 0)
        connection.send(reply())

    checks = ScriptedOrigin(lambda connection: None)
    origin = ScriptedOrigin(script)
    balancer = quoit({"workers": 1, "pools": {"web": static_pool(
        [origin.addresses[0]],
        health_check={"type": "tcp", "port": int(checks.addresses[0].split(":")[1]),
                      "interval": "100ms", "rise": 1, "fall": 1})}})
    with RawClient(balancer.port) as client:
        client.send(request(b"GET / HTTP/1.1"))
        wait_until(lambda: origin.received.count(b"GET / ") == 1)
        checks.close_listener(0)
        assert client.read_until(b"\r\n\r\nok").startswith(b"HTTP/1.1 200 ")
    origin.close()
    checks.close()
