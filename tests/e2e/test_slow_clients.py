"""Clients that send or read slowly: the malicious are given up, the merely slow are not."""
import contextlib
import threading
import time

import pytest

from http_client import RawClient
from scripted import reply
from waiting import wait_until

BIG = 32 << 20


def request(line, *fields, body=b""):
    return b"\r\n".join([line, b"Host: a.example", *fields, b"", body])


def wait_reason(balancer, reason):
    return wait_until(lambda: [line for line in balancer.access() if line["reason"] == reason], 8,
                      lambda: f"{reason} in the access log: {balancer.access()}")


def ticks(n, seconds):
    """Yields n times, as evenly as the machine allows; the pace is what is tested here."""
    begun = time.monotonic()
    for i in range(n):
        threading.Event().wait(max(0.0, begun + i * seconds - time.monotonic()))
        yield i


# --- bodies ---------------------------------------------------------------------------------------


def swallow(connection):
    connection.read_to_end()


def take_body(n):
    def script(connection):
        connection.read_head()
        connection.read_exactly(n)
        connection.send(reply())

    return script


@pytest.mark.parametrize("framing, piece", [
    (b"Content-Length: 1000", b"x"), (b"Transfer-Encoding: chunked", b"1\r\nx\r\n")])
def test_a_body_that_trickles_below_the_rate_is_408(scripted, framing, piece):
    """Each byte comes well within body_timeout: only the rate can end this."""
    port, origin = scripted(swallow, {"client": {"body_timeout": "500ms", "min_body_rate": "1k"}})
    begun = time.monotonic()
    with RawClient(port) as client:
        client.send(request(b"POST / HTTP/1.1", framing))
        client.sock.settimeout(0.1)
        answer = b""
        while not answer and time.monotonic() - begun < 8:
            with contextlib.suppress(TimeoutError):
                client.send(piece)
                answer = client.sock.recv(1000)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert 0.4 < time.monotonic() - begun < 4
    [line] = wait_reason(origin.balancer, "client_timeout")
    assert line["status"] == 408
    wait_until(lambda: origin.connections[0].closed)


def test_a_trickling_trailer_section_does_not_stretch_the_deadline(scripted):
    port, _ = scripted(swallow, {"client": {"body_timeout": "500ms", "min_body_rate": "0"}})
    begun = time.monotonic()
    with RawClient(port) as client:
        client.send(request(b"POST / HTTP/1.1", b"Transfer-Encoding: chunked", body=b"0\r\n"))
        client.sock.settimeout(0.1)
        answer = b""
        while not answer and time.monotonic() - begun < 8:
            with contextlib.suppress(TimeoutError):
                client.send(b"X")
                answer = client.sock.recv(1000)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - begun < 4


def test_a_slow_body_that_keeps_to_the_rate_arrives_however_long_it_takes(scripted):
    """Three times body_timeout in all, in bursts with pauses of more than half of it."""
    port, _ = scripted(take_body(6 * 2000), {
        "client": {"body_timeout": "1s", "min_body_rate": "1k"}})
    with RawClient(port) as client:
        client.send(request(b"POST / HTTP/1.1", b"Content-Length: 12000"))
        for _ in ticks(6, 0.6):
            client.send(b"x" * 2000)
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_without_a_rate_any_progress_will_do(scripted):
    port, _ = scripted(take_body(10), {"client": {"body_timeout": "600ms", "min_body_rate": "0"}})
    with RawClient(port) as client:
        client.send(request(b"POST / HTTP/1.1", b"Content-Length: 10"))
        for _ in ticks(10, 0.2):
            client.send(b"x")
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_a_body_that_waits_for_its_endpoint_is_not_the_clients_fault(scripted):
    """The endpoint reads nothing for five times body_timeout; the client has sent what it could."""
    go_on = threading.Event()

    def script(connection):
        connection.read_head()
        assert go_on.wait(30)
        left = BIG - (len(connection.received) - connection.n_read)
        while left > 0:
            left -= len(connection.sock.recv(1 << 18))
        connection.send(reply())

    port, origin = scripted(script, {"client": {"body_timeout": "400ms", "min_body_rate": "16k"}},
                            receive_buffer=1 << 16)
    with RawClient(port, timeout=30) as client:
        client.send(request(b"POST / HTTP/1.1", b"Content-Length: %d" % BIG))
        sender = threading.Thread(target=client.send, args=[b"x" * BIG], daemon=True)
        sender.start()
        for _ in ticks(10, 0.2):
            assert not origin.balancer.access()
        go_on.set()
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        sender.join(10)


def test_a_client_that_waits_for_100_continue_is_not_asked_for_bytes(scripted):
    """The rate alone would have ended it after half of the pause."""
    def script(connection):
        connection.read_head()
        threading.Event().wait(0.8)
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.read_exactly(4)
        connection.send(reply())

    port, _ = scripted(script, {"client": {"body_timeout": "1500ms", "min_body_rate": "1m"}})
    with RawClient(port) as client:
        client.send(request(b"POST / HTTP/1.1", b"Content-Length: 4", b"Expect: 100-continue"))
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        client.send(b"body")
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")


# --- responses ------------------------------------------------------------------------------------


def flood(connection):
    connection.read_head()
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG)
    for _ in range(BIG >> 16):
        connection.send(b"x" * 65536)


def slow_reader(port):
    """A client whose kernel takes little of its own accord."""
    return RawClient(port, receive_buffer=4096)


def read_until_cut(client, bytes_at_once, seconds):
    """Reads so much at a time; the seconds until the connection was reset or ended."""
    begun = time.monotonic()
    with contextlib.suppress(ConnectionResetError):
        while client.sock.recv(bytes_at_once) and time.monotonic() - begun < 12:
            threading.Event().wait(seconds)
    return time.monotonic() - begun


def test_a_reader_below_the_rate_is_cut_off(scripted):
    """It always takes something within send_timeout: only the rate can end this."""
    port, origin = scripted(flood, {"client": {"send_timeout": "1s", "min_send_rate": "1m"}})
    with slow_reader(port) as client:
        client.send(request(b"GET / HTTP/1.1"))
        read_until_cut(client, 8192, 0.1)
        [line] = wait_reason(origin.balancer, "client_slow")
    assert line["status"] == 200 and line["bytes_out"] < BIG
    wait_until(lambda: origin.connections[0].finished.is_set())


def test_a_reader_that_stops_is_cut_off_soon_after_send_timeout(scripted):
    port, origin = scripted(flood, {"client": {"send_timeout": "800ms"}})
    with slow_reader(port) as client:
        client.send(request(b"GET / HTTP/1.1"))
        client.read_exactly(1 << 20)
        begun = time.monotonic()
        wait_reason(origin.balancer, "client_slow")
    assert 0.5 < time.monotonic() - begun < 4


def test_a_slow_reader_is_not_cut_off_while_the_kernel_still_hands_it_bytes(scripted):
    """What the balancer has written lies in its kernel's queue, megabytes of it: the balancer can
    write nothing for much longer than send_timeout, and the client reads all the time."""
    port, origin = scripted(flood, {"client": {"send_timeout": "500ms", "min_send_rate": "64k"}})
    with slow_reader(port) as client:
        client.send(request(b"GET / HTTP/1.1"))
        taken = 0
        for _ in ticks(60, 0.05):  # six times send_timeout at 600 KiB/s or less
            taken += len(client.sock.recv(30 << 10))
        assert not origin.balancer.access(), taken


def test_a_response_that_waits_for_its_endpoint_is_not_the_readers_fault(scripted):
    """Two bytes a second come from the endpoint; the reader takes them at once."""
    def script(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
        for _ in ticks(6, 0.4):
            connection.send(b"x")

    port, origin = scripted(script, {"client": {"send_timeout": "400ms", "min_send_rate": "1m"}})
    with RawClient(port) as client:
        client.send(request(b"GET / HTTP/1.1"))
        client.read_until(b"\r\n\r\n")
        assert client.read_exactly(6) == b"xxxxxx"
    [line] = origin.balancer.wait_access(1)
    assert line["reason"] == "ok"


def test_a_response_that_lies_in_the_kernel_is_not_kept_there_for_ever(scripted):
    """The balancer has written all of it, and would wait for the next request for a minute."""
    port, origin = scripted(lambda connection: (connection.read_head(), connection.send(
        reply(b"x" * 30000))), {"client": {"send_timeout": "700ms"}})
    with RawClient(port, receive_buffer=2048) as client:
        client.send(request(b"GET / HTTP/1.1"))
        [line] = origin.balancer.wait_access(1)
        assert line["reason"] == "ok" and line["bytes_out"] == 30000
        wait_until(lambda: origin.balancer.metrics().sum("quoit_client_connections_open") == 0, 20)
        with pytest.raises(ConnectionResetError):
            while client.sock.recv(4096):
                pass
            raise AssertionError("ended as if it were whole")


def test_a_tunnel_may_stand_still_for_longer_than_a_response(scripted):
    def script(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
                        b"Upgrade: echo\r\n\r\n" + b"x" * 200000)
        connection.read_to_end()

    port, _ = scripted(script, {"client": {"send_timeout": "300ms"}})
    with RawClient(port, receive_buffer=2048) as client:
        client.send(request(b"GET / HTTP/1.1", b"Connection: upgrade", b"Upgrade: echo"))
        client.read_until(b"\r\n\r\n")
        for _ in ticks(2, 2.0):  # nothing is taken meanwhile
            pass
        assert client.read_exactly(200000) == b"x" * 200000


# --- the end --------------------------------------------------------------------------------------


def test_a_response_that_goes_on_over_the_total_deadline_is_cut_off(scripted):
    """It makes progress all the time: only the total deadline can end it."""
    def script(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in ticks(100, 0.1):
            connection.send(b"x")

    port, origin = scripted(script, timeouts={"total": "500ms"})
    with RawClient(port) as client:
        client.send(request(b"GET / HTTP/1.1"))
        answer = client.read_to_end()
    assert answer.startswith(b"HTTP/1.1 200 ") and len(answer.partition(b"\r\n\r\n")[2]) < 100
    [line] = wait_reason(origin.balancer, "total_timeout")
    assert line["total_us"] < 5e6
    wait_until(lambda: origin.connections[0].finished.is_set())


def test_who_goes_on_sending_after_the_last_answer_is_closed_soon(scripted):
    """Long enough for it to read that answer, and no longer, whatever it sends."""
    port, origin = scripted(swallow)
    with RawClient(port) as client:
        client.send(b"GET / HTTP/9.9\r\n\r\n")
        assert client.read_to_end().startswith(b"HTTP/1.1 505 ")
        begun = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - begun < 10:
                client.send(b"x")
                threading.Event().wait(0.1)
    assert time.monotonic() - begun < 8
    wait_until(lambda: origin.balancer.metrics().sum("quoit_client_connections_open") == 0)
