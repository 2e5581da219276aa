"""HTTP/2 connections at work: many streams at once, windows, requests given up, draining."""
import signal
import threading

import pytest

from h2_client import ENHANCE_YOUR_CALM, H2Client, NO_ERROR, frame
from h2_origin import window
from origins import Response
from quoit_process import static_pool
from scripted import reply
from waiting import wait_until

PADDED = 8
WIDE = 1 << 30


@pytest.fixture
def h2(quoit, origins):
    """h2(client=…) starts a balancer for HTTP/2 before one origin, which is its .origin."""
    def start(client=None, workers=1):
        [origin] = origins(1)
        balancer = quoit({"listener": {"http2": "on"}, "workers": workers, "client": client or {},
                          "pools": {"web": static_pool([origin])}})
        balancer.origin = origin
        return balancer
    return start


class Windows:
    """What a client may still send, by stream; 0 is the connection."""

    def __init__(self, client):
        self.client, self.sent = client, {}
        client.ping()

    def left(self, stream):
        start = 65535 if stream == 0 else self.client.settings[4]
        granted = sum(f.window_increment for f in self.client.frames
                      if type(f).__name__ == "WindowUpdateFrame" and f.stream_id == stream)
        return start + granted - self.sent.get(stream, 0)

    def count(self, stream, n):
        for one in (0, stream):
            self.sent[one] = self.sent.get(one, 0) + n

    def send(self, stream, n, end=False):
        self.count(stream, n)
        self.client.data(stream, b"u" * n, end)


# ---- many at once ----

def test_a_slow_stream_keeps_no_other_waiting(h2):
    balancer, go_on = h2(), threading.Event()

    def behaviour(connection, request):
        response = balancer.origin.usual(request)
        connection.send(response.head())
        for begin in range(0, len(response.body), 50000):
            if request.path == "/slow" and begin > 0:
                assert go_on.wait(60)
            connection.send(response.body[begin:begin + 50000])
        return True

    balancer.origin.raw_behaviour = behaviour
    with H2Client(balancer.port, settings={4: 1 << 20}, timeout=60) as client:
        client.window(0, WIDE)
        slow, others = 1, range(3, 201, 2)
        client.request(slow, "/slow?bytes=200000")
        client.read_until(lambda: client.reply(slow).body)
        client.send(b"".join(client.headers(s, client.pseudo(path="/?bytes=200000"))
                             for s in others))
        client.wait_reply(*others)
        assert len(client.reply(slow).body) <= 50000
        go_on.set()
        client.wait_reply(slow)
        assert all(len(client.reply(s).body) == 200000 for s in (slow, *others))


def test_many_uploads_share_the_connections_window(h2):
    balancer = h2()
    with H2Client(balancer.port, timeout=60) as client:
        windows = Windows(client)
        left = {stream: 200000 for stream in range(1, 61, 2)}
        for stream in left:
            client.request(stream, "/upload", end=False, method="POST")
        while any(left.values()):
            sent = False
            for stream, n in left.items():
                now = min(n, 16000, windows.left(0), windows.left(stream))
                if now > 0:
                    left[stream] -= now
                    windows.send(stream, now, end=left[stream] == 0)
                    sent = True
            assert sent or client.fill(30), "the windows stay shut"
        client.wait_reply(*left)
        assert {client.reply(stream).status for stream in left} == {200}
    assert sorted(len(r.body) for r in balancer.origin.requests) == [200000] * len(left)


def test_ten_thousand_requests_go_over_one_connection(h2):
    balancer = h2(client={"max_requests": 0})
    with H2Client(balancer.port, timeout=30) as client:
        client.window(0, WIDE)
        for first in range(1, 20001, 200):
            streams = range(first, first + 200, 2)
            client.send(b"".join(client.headers(s, client.pseudo()) for s in streams))
            client.wait_reply(*streams)
            assert {client.reply(s).status for s in streams} == {200}
            client.frames.clear()
        assert not client.goaways
        wait_until(lambda: balancer.metrics().sum("quoit_buffer_bytes") == 0)


def test_pings_are_answered_while_bodies_stream(h2):
    balancer = h2()
    with H2Client(balancer.port, settings={4: WIDE}, receive_buffer=8192) as client:
        client.window(0, WIDE)
        client.request(1, "/?bytes=4000000")
        for _ in range(20):
            client.ping()
        assert len(client.wait_reply(1, timeout=30).body) == 4000000


# ---- windows ----

def test_windows_may_be_opened_message_by_message_for_what_was_sent(h2):
    """As gRPC's clients do it with a stream of many small messages, all at once if they were busy."""
    balancer = h2()
    balancer.origin.behaviour = lambda request: Response(body=b"x" * 60000)
    with H2Client(balancer.port) as client:
        assert client.get().status == 200
        client.send(window(0, 8) * 7500)
        client.ping()
        assert client.get(stream=3).status == 200


def test_windows_opened_bit_by_bit_for_nothing_are_a_nuisance(h2):
    balancer = h2()
    balancer.origin.behaviour = lambda request: Response(body=b"x" * 1000)
    with H2Client(balancer.port) as client:
        assert client.get().status == 200
        client.send(window(0, 1) * 2000)
        client.ping()
        client.send(window(0, 1) * 5000)
        client.wait_goaway(ENHANCE_YOUR_CALM)


def test_padding_takes_nothing_from_the_windows_for_good(h2):
    balancer = h2(client={"http2_window": "64k"})
    with H2Client(balancer.port) as client:
        windows = Windows(client)
        client.request(1, method="POST", end=False)
        for _ in range(2000):  # half a megabyte, of which 2000 bytes are content
            windows.count(1, 257)
            client.send(frame(0, PADDED, 1, b"\xff" + b"x" + bytes(255)))
            while windows.left(0) < 257 or windows.left(1) < 257:
                assert client.fill(10), "the windows stay shut"
        client.data(1, b"", end=True)
        assert client.wait_reply(1).status == 200
    [request] = balancer.origin.requests
    assert request.body == b"x" * 2000


GIVEN_UP = {
    "malformed": lambda client, s: client.request(s, "/", [("connection", "x")], False, "POST"),
    "too large": lambda client, s: client.request(s, "/", [("x-a", "b" * 3000)], False, "POST"),
    "refused": lambda client, s: client.send(client.headers(
        s, [(":method", "CONNECT"), (":authority", "a:1")], end=False)),
    "reset": lambda client, s: client.request(s, "/?delay=0.01", [], False, "POST"),
}


@pytest.mark.parametrize("how", GIVEN_UP)
def test_bodies_nobody_wants_give_the_connections_window_back(h2, how):
    balancer = h2(client={"http2_window": "64k", "max_head_size": "2k"})
    with H2Client(balancer.port) as client:
        windows = Windows(client)
        for stream in range(1, 101, 2):  # three times the connection's window
            GIVEN_UP[how](client, stream)
            while windows.left(0) < 16000:
                assert client.fill(10), f"the window stays shut at {windows.left(0)}"
            windows.send(stream, 16000)
            if how == "reset":
                client.reset(stream)
            client.ping()
        assert client.get(101).status == 200


# ---- given up ----

def test_a_reset_in_any_step_ends_the_request_at_the_endpoint(scripted):
    answers = {
        b"/silent": b"",
        b"/interim": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
        b"/chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"/behind-a-window": b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 300000,
    }

    def script(connection):
        target = connection.read_head().split(b" ")[1]
        connection.send(answers[target])
        connection.read_to_end()

    port, origin = scripted(script, {"listener": {"http2": "on"}})
    has_come = {
        b"/silent": lambda r: True, b"/interim": lambda r: r.heads,
        b"/chunked": lambda r: r.body, b"/behind-a-window": lambda r: len(r.body) == 1000}
    with H2Client(port, settings={4: 1000}) as client:
        for i, target in enumerate(answers):
            stream = 2 * i + 1
            client.request(stream, target.decode())
            wait_until(lambda: len(origin.connections) == i + 1)
            origin.wait_received(target)
            client.read_until(lambda: has_come[target](client.reply(stream)))
            client.reset(stream)
            wait_until(lambda: origin.connections[i].closed, what=target.decode())
        client.request(9, "/silent", method="POST", end=False)
        client.data(9, b"some of it")
        origin.wait_received(b"some of it")
        client.reset(9)
        wait_until(lambda: origin.connections[-1].closed)
        client.ping()
    lines = origin.balancer.wait_access(5)
    assert {line["reason"] for line in lines} == {"client_gone"}
    metrics = origin.balancer.metrics()
    assert metrics.sum("quoit_client_http2_resets_received_total") == 5
    assert metrics.sum("quoit_endpoint_failures_total") == 0  # none of it was the endpoint's doing


# ---- the end of a connection ----

def test_a_clients_goaway_lets_its_streams_finish(h2):
    balancer = h2()
    with H2Client(balancer.port) as client:
        client.request(1, "/?delay=0.5")
        client.send(frame(7, 0, 0, bytes(8)))
        client.request(3)  # it may still ask: what it says is about streams of ours
        assert client.wait_reply(1, 3).status == 200
        assert client.reply(1).status == 200
        client.wait_closed()


def ask_until_told(client, at_once):
    """Keeps requests under way until the last GOAWAY, then reads to the end; which were sent."""
    sent = []
    while len(client.goaways) < 2 and not client.closed:
        under_way = sum(not client.reply(stream).done for stream in sent[-2 * at_once:])
        if under_way < at_once:
            sent.append(2 * len(sent) + 1)
            client.request(sent[-1], "/?delay=0.02")
        else:
            client.fill(1)
    while not client.closed:
        client.fill(10)
    return sent


def test_a_drain_under_load_loses_no_request(h2):
    balancer = h2(workers=2)
    clients = [H2Client(balancer.port, timeout=30) for _ in range(4)]
    sent, threads = {}, []
    for client in clients:
        client.window(0, WIDE)
        threads.append(threading.Thread(
            target=lambda one=client: sent.update({one: ask_until_told(one, 20)}), daemon=True))
        threads[-1].start()
    wait_until(lambda: len(balancer.origin.requests) > 200, 30)
    balancer.signal(signal.SIGTERM)
    for thread in threads:
        thread.join(60)
    assert balancer.process.wait(30) == 0
    for client in clients:
        (notice, first), (last, second) = client.goaways
        assert (notice, first, second) == ((1 << 31) - 1, NO_ERROR, NO_ERROR)
        assert {client.reply(s).status for s in sent[client] if s <= last} == {200}
        assert all(client.reply(s).status is None for s in sent[client] if s > last)
        client.sock.close()


@pytest.mark.parametrize("size", (0, 100, 4096, 65536, (1 << 32) - 1))
def test_answers_keep_to_the_clients_header_table(h2, size):
    balancer = h2()
    with H2Client(balancer.port, settings={1: size}) as client:
        client.decoder.max_allowed_table_size = min(size, 4096)
        for stream in range(1, 21, 2):
            assert client.get(stream, f"/{stream}").fields["x-origin"] == balancer.origin.name
        client.send(frame(4, 0, 0, b"\0\1\0\0\0\0"))  # none from now on
        client.ping()
        client.decoder.max_allowed_table_size = 0
        for stream in range(21, 31, 2):
            assert client.get(stream).status == 200
        assert client.decoder.header_table_size == 0


def test_an_answer_of_the_whole_endpoint_fits_small_frames_and_windows(scripted):
    def script(connection):
        connection.read_head()
        connection.send(reply(bytes(range(256)) * 40))
        connection.read_to_end()
    port, _ = scripted(script, {"listener": {"http2": "on"}})
    with H2Client(port, settings={4: 1}) as client:
        client.request(1)
        body = bytes(range(256)) * 40
        for n in range(1, 200):  # a byte at a time, and once all that is left
            client.read_until(lambda: len(client.reply(1).body) == n)
            client.window(1, 1 if n < 199 else len(body))
        assert client.wait_reply(1).body == body
