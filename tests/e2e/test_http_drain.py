"""What a drain does to connections that already got an answer saying they may stay."""
import signal
import threading

import pytest

from http_client import RawClient
from scripted import reply


def request(line):
    return line + b"\r\nHost: a.example\r\n\r\n"


def test_a_connection_that_falls_idle_late_in_a_drain_is_closed(scripted):
    """The head of its answer promised to keep it; the drain does not wait for the client to go."""
    go_on = threading.Event()

    def script(connection):
        connection.read_head()
        connection.send(reply(b"first"))
        connection.read_head()
        connection.send(reply(b"abcdef")[:-3])
        assert go_on.wait(30)
        connection.send(b"def")

    port, origin = scripted(script, {"drain_timeout": "60s"})
    with RawClient(port, timeout=30) as busy, RawClient(port, timeout=30) as idle:
        busy.send(request(b"GET /1 HTTP/1.1"))
        busy.read_until(b"first")
        busy.send(request(b"GET /2 HTTP/1.1"))
        busy.read_until(b"\r\n\r\nabc")
        origin.balancer.signal(signal.SIGTERM)
        assert idle.read_to_end() == b""  # the idle ones have been closed by now
        go_on.set()
        assert busy.read_exactly(3) == b"def"
        assert busy.read_to_end() == b""
        assert origin.balancer.process.wait(15) == 0
    assert [event["clients_left"] for event in origin.balancer.events("drained")] == [0]


def test_a_response_that_is_cut_off_does_not_look_whole(scripted):
    """Its end would have been that of the connection: only a reset says that more was to come."""
    def script(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 200 OK\r\n\r\nthe first part")
        connection.read_to_end()

    port, origin = scripted(script, {"drain_timeout": "500ms"})
    with RawClient(port, timeout=30) as client:
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        client.read_until(b"the first part")
        origin.balancer.signal(signal.SIGTERM)
        with pytest.raises(ConnectionResetError):
            client.sock.recv(1000)
        assert origin.balancer.process.wait(15) == 0
    [line] = origin.balancer.wait_access(1)
    assert (line["status"], line["reason"]) == (200, "drained")
