"""HTTP/2 clients: requests, bodies, trailers, interim responses, tunnels, windows, draining."""
import signal
import subprocess

import pytest

from h2_client import CANCEL, H2Client, INTERNAL_ERROR, NO_ERROR, PROTOCOL_ERROR, REFUSED_STREAM
from quoit_process import static_pool
from scripted import lines_of, reply, values_of
from waiting import wait_until
from websocket_client import accept_of


BASE = {"listener": {"http2": "on"}, "workers": 2}


@pytest.fixture
def h2(quoit, origins):
    """h2(client=…) starts a balancer for HTTP/2 before one origin: (port, origin, balancer)."""
    def start(client=None, **pool):
        [origin] = origins(1)
        balancer = quoit({**BASE, "client": client or {},
                          "pools": {"web": static_pool([origin], **pool)}})
        return balancer.port, origin, balancer
    return start


@pytest.fixture
def h2_scripted(scripted):
    """The same before a scripted origin: (port, origin)."""
    def start(script, client=None, **pool):
        return scripted(script, {**BASE, "client": client or {}}, **pool)
    return start


def test_curl_and_nghttp_are_served(h2):
    port, _, balancer = h2()
    url = f"http://127.0.0.1:{port}/a?bytes=300000"
    body = subprocess.run(["curl", "-sS", "--http2-prior-knowledge", url], check=True,
                          capture_output=True, timeout=20).stdout
    assert len(body) == 300000
    out = subprocess.run(["nghttp", "-ns", url, url + "&b"], check=True, capture_output=True,
                         timeout=20, text=True).stdout
    assert "200" in out
    lines = balancer.wait_access(3)
    assert [line["version"] for line in lines] == ["2.0"] * 3


def test_http_1_is_still_spoken_on_the_listener(h2):
    port, _, _ = h2()
    out = subprocess.run(["curl", "-sS", "--http1.1", "-w", "%{http_version}",
                          f"http://127.0.0.1:{port}/"], check=True, capture_output=True,
                         timeout=20, text=True).stdout
    assert out.endswith("1.1")


def test_without_the_option_the_preface_is_an_unknown_version(quoit, origins):
    [origin] = origins(1)
    balancer = quoit({"workers": 1, "pools": {"web": static_pool([origin])}})
    with H2Client(balancer.port) as client:
        client.sock.settimeout(10)
        assert client.sock.recv(100).startswith(b"HTTP/1.1 505 ")


def test_a_listener_for_http_2_only_tells_others_so(quoit, origins):
    [origin] = origins(1)
    balancer = quoit({"listener": {"http2": "only"}, "pools": {"web": static_pool([origin])}})
    with H2Client(balancer.port) as client:
        assert client.get().status == 200
    with H2Client(balancer.port, preface=None) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        client.wait_goaway(PROTOCOL_ERROR)
        client.wait_closed()


def test_the_endpoint_gets_an_exact_head(h2_scripted):
    def script(connection):
        connection.read_head()
        connection.send(reply(b"hi", fields=[b"X-Kind: A", b"Connection: keep-alive, x-hop",
                                             b"X-Hop: 1", b"Keep-Alive: timeout=5"]))
        connection.read_to_end()
    port, origin = h2_scripted(script)
    with H2Client(port) as client:
        answer = client.get(1, "/p?q=1", [("cookie", "a=1"), ("x-b", "2"), ("cookie", "c=3"),
                                          ("te", "trailers")], authority="shop.example")
    first, fields = lines_of(origin.received)
    assert first == b"GET /p?q=1 HTTP/1.1"
    assert [f for f in fields if not f.startswith(b"X-")] == sorted([
        b"Connection: TE", b"Host: shop.example", b"TE: trailers", b"Via: 2.0 quoit",
        b"cookie: a=1; c=3", b"x-b: 2"] + [
            f for f in fields if f.startswith((b"traceparent", b"x-request-id", b"Request-Id"))])
    assert answer.status == 200 and answer.body == b"hi"
    assert answer.fields["x-kind"] == "A"
    assert not {"connection", "keep-alive", "x-hop", "transfer-encoding"} & set(answer.fields)


def test_many_streams_at_once_each_get_their_own(h2):
    port, origin, _ = h2()
    with H2Client(port) as client:
        streams = range(1, 201, 2)
        client.send(b"".join(client.headers(s, client.pseudo(path=f"/{s}")) for s in streams))
        client.wait_reply(*streams)
        for s in streams:
            assert client.reply(s).body == b"%s GET /%d\n" % (origin.name.encode(), s)


def test_a_body_without_length_comes_in_chunks_with_its_trailers(h2):
    port, origin, _ = h2()
    with H2Client(port) as client:
        client.request(1, "/", method="POST", end=False)
        client.data(1, b"a" * 10000)
        client.data(1, b"")
        client.data(1, b"b" * 7)
        client.send(client.headers(1, [("x-sum", "17")]))
        assert client.wait_reply(1).status == 200
    [request] = origin.requests
    assert request.body == b"a" * 10000 + b"b" * 7
    assert request.trailers == b"x-sum: 17\r\n"


def test_a_body_with_its_length_keeps_it(h2):
    port, origin, _ = h2()
    with H2Client(port) as client:
        client.request(1, "/", [("content-length", "6")], method="POST", end=False)
        client.data(1, b"abc")
        client.data(1, b"def", end=True)
        assert client.wait_reply(1).status == 200
    [request] = origin.requests
    assert request.body == b"abcdef" and request.header("content-length") == "6"


@pytest.mark.parametrize("sent", (b"abcd", b"ab"))
def test_a_length_that_is_not_that_of_the_body_resets_the_stream(h2, sent):
    port, _, balancer = h2()
    with H2Client(port) as client:
        client.request(1, "/", [("content-length", "3")], method="POST", end=False)
        client.data(1, sent, end=True)
        assert client.wait_reply(1).reset == PROTOCOL_ERROR
        assert client.get(3).status == 200  # the connection goes on
    assert balancer.wait_access(2)[0]["reason"] == "client_gone"


def test_trailers_and_interim_responses_pass(h2_scripted):
    def script(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
                        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n"
                        b"3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n")
        connection.read_to_end()
    port, _ = h2_scripted(script)
    with H2Client(port) as client:
        answer = client.get()
    assert answer.statuses == [103, 200]
    assert answer.body == b"abc"
    assert answer.trailers == [[("x-t", "1")]]


@pytest.mark.parametrize("method, status", (("HEAD", 200), ("GET", 204), ("GET", 304)))
def test_responses_without_a_body_end_with_their_head(h2, method, status):
    port, _, _ = h2()
    with H2Client(port) as client:
        answer = client.get(1, f"/?status={status}&bytes=1000", method=method)
        assert answer.status == status and answer.body == b"" and answer.ended
        if method == "HEAD":
            assert answer.fields["content-length"] == "1000"
        assert client.get(3).status == 200


def test_a_response_until_close_ends_the_stream(h2_scripted):
    def script(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100000)
    port, _ = h2_scripted(script)
    with H2Client(port) as client:
        client.window(0, 1 << 20)
        client.request(1)
        client.window(1, 1 << 20)
        answer = client.wait_reply(1)
        assert answer.body == b"x" * 100000 and answer.ended


def test_a_response_cut_short_resets_the_stream_only(h2_scripted):
    def script(connection):
        connection.read_head()
        if connection.number == 0:
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
        else:
            connection.send(reply())
    port, _ = h2_scripted(script)
    with H2Client(port) as client:
        answer = client.get(1)
        assert answer.status == 200 and answer.reset == INTERNAL_ERROR
        assert client.get(3).status == 200


def test_an_early_answer_tells_that_the_body_is_not_wanted(h2_scripted):
    def script(connection):
        connection.read_head()
        connection.send(reply(b"no", b"HTTP/1.1 403 Forbidden", [b"Connection: close"]))
    port, _ = h2_scripted(script)
    with H2Client(port) as client:
        client.request(1, method="POST", end=False)
        client.data(1, b"begin")
        answer = client.wait_reply(1)
        client.read_until(lambda: answer.reset is not None)
        assert (answer.status, answer.body, answer.ended) == (403, b"no", True)
        assert answer.reset == NO_ERROR


# ---- windows ----

def test_an_upload_stops_while_the_endpoint_does_not_read(h2_scripted):
    go_on = []
    def script(connection):
        connection.read_head()
        wait_until(lambda: go_on, 60)
        tail = b""
        while not tail.endswith(b"\r\n0\r\n\r\n"):
            tail = (tail + connection.sock.recv(1 << 20))[-7:]
        connection.send(reply())
    port, _ = h2_scripted(script, client={"http2_window": "64k"}, receive_buffer=4096)
    with H2Client(port) as client:
        client.request(1, method="POST", end=False)
        client.read_until(lambda: client.settings)
        left = 16 << 20
        def allowed():
            granted = sum(f.window_increment for f in client.frames
                          if type(f).__name__ == "WindowUpdateFrame" and f.stream_id == 1)
            return client.settings[4] + granted
        sent = 0
        def send_allowed():
            nonlocal sent
            while sent < min(allowed(), left):
                n = min(16384, min(allowed(), left) - sent)
                client.data(1, b"u" * n)
                sent += n
        while True:
            send_allowed()
            if not client.fill(1.0):
                break
        assert sent < left, "nothing held the client back"
        go_on.append(True)
        while sent < left:
            assert client.fill(10), "the window does not open again"
            send_allowed()
        client.data(1, b"", end=True)
        assert client.wait_reply(1).status == 200


def test_a_download_waits_for_the_clients_window(h2):
    port, _, _ = h2()
    with H2Client(port, settings={4: 10}) as client:
        client.request(1, "/?bytes=1000")
        client.read_until(lambda: len(client.reply(1).body) == 10)
        client.ping()
        assert len(client.reply(1).body) == 10
        client.window(1, 990)
        assert len(client.wait_reply(1).body) == 1000


def test_a_window_that_stays_shut_ends_the_stream_at_the_deadline(h2):
    port, _, balancer = h2(client={"send_timeout": "1s"})
    with H2Client(port, settings={4: 0}) as client:
        client.request(1, "/?bytes=1000")      # all of it fits behind the window
        client.request(3, "/?bytes=3000000")   # the endpoint still sends
        client.wait_reply(1, 3, timeout=10)
        assert client.reply(1).reset == CANCEL
        assert client.reply(3).reset == INTERNAL_ERROR
        client.ping()
    assert {line["reason"] for line in balancer.wait_access(2)} == {"ok", "client_slow"}


# ---- ends ----

def test_a_reset_ends_the_request_at_the_endpoint(h2_scripted):
    closed = []
    def script(connection):
        connection.read_head()
        connection.read_to_end()
        closed.append(True)
    port, origin = h2_scripted(script)
    with H2Client(port) as client:
        client.request(1)
        origin.wait_received(b"\r\n\r\n")
        client.reset(1)
        wait_until(lambda: closed)
        client.ping()
    [line] = origin.balancer.wait_access(1)
    assert line["reason"] == "client_gone"


def test_a_connection_that_closes_ends_all_its_requests(h2_scripted):
    def script(connection):
        connection.read_head()
        connection.read_to_end()
    port, origin = h2_scripted(script)
    with H2Client(port) as client:
        for s in (1, 3, 5):
            client.request(s)
        wait_until(lambda: len(origin.connections) == 3)
    lines = origin.balancer.wait_access(3)
    assert {line["reason"] for line in lines} == {"client_gone"}


def test_a_drain_lets_streams_finish_after_two_goaways(h2_scripted):
    go_on = []
    def script(connection):
        connection.read_head()
        wait_until(lambda: go_on, 20)
        connection.send(reply(b"late"))
    port, origin = h2_scripted(script)
    with H2Client(port) as client:
        client.request(1)
        origin.wait_received(b"\r\n\r\n")
        origin.balancer.signal(signal.SIGTERM)
        client.read_until(lambda: len(client.goaways) == 1)
        assert client.goaways == [((1 << 31) - 1, NO_ERROR)]
        client.request(3)  # sent before the client heard of it
        client.read_until(lambda: len(client.goaways) == 2)
        assert client.goaways[1] == (3, NO_ERROR)
        go_on.append(True)
        client.wait_reply(1, 3)
        assert [client.reply(s).body for s in (1, 3)] == [b"late"] * 2
        client.wait_closed()


def test_the_last_request_of_a_connection_is_announced(h2):
    port, _, _ = h2(client={"max_requests": 3})
    with H2Client(port) as client:
        for s in (1, 3, 5):
            assert client.get(s).status == 200
        client.read_until(lambda: len(client.goaways) == 2)
        assert client.goaways[1] == (5, NO_ERROR)
        client.wait_closed()


def test_an_idle_connection_is_closed(h2):
    port, _, _ = h2(client={"keepalive_timeout": "1s"})
    with H2Client(port) as client:
        assert client.get().status == 200
        client.wait_goaway(NO_ERROR)
        client.wait_closed()


def test_more_streams_than_allowed_are_refused(h2_scripted):
    def script(connection):
        connection.read_head()
        connection.read_to_end()
    port, origin = h2_scripted(script, client={"http2_max_streams": 4})
    with H2Client(port) as client:
        client.acks_settings = False  # it has not read them yet
        client.ping()
        assert client.settings[3] == 4
        for s in range(1, 11, 2):
            client.request(s)
        assert client.wait_reply(9).reset == REFUSED_STREAM
        wait_until(lambda: len(origin.connections) == 4)


# ---- heads ----

def test_a_head_that_is_too_large_is_answered(h2):
    port, origin, _ = h2(client={"max_head_size": "2k"})
    with H2Client(port) as client:
        assert client.get(1, fields=[("x-a", "b" * 3000)]).status == 431
        assert client.get(3).status == 200
    assert len(origin.requests) == 1


def test_a_target_that_is_too_long_is_answered(h2):
    port, _, _ = h2(client={"max_target_size": "1k"})
    with H2Client(port) as client:
        assert client.get(1, "/" + "a" * 2000).status == 414


def test_connect_is_refused(h2):
    port, _, _ = h2()
    with H2Client(port) as client:
        client.send(client.headers(1, [(":method", "CONNECT"), (":authority", "a:443")]))
        assert client.wait_reply(1).status == 405


# ---- WebSocket (RFC 8441) ----

def extended_connect(client, stream, protocol="websocket", fields=()):
    client.send(client.headers(stream, [
        (":method", "CONNECT"), (":protocol", protocol), (":scheme", "http"), (":path", "/chat"),
        (":authority", "chat.example"), ("sec-websocket-version", "13"), *fields], end=False))


def test_a_websocket_over_http_2_reaches_an_endpoint_over_http_1(h2_scripted):
    def script(connection):
        accept = accept_of(connection.read_head())
        connection.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                        b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept +
                        b"\r\nSec-WebSocket-Protocol: chat\r\n\r\nhello")
        assert connection.read_exactly(4) == b"ping"
        connection.send(b"pong")
        connection.read_to_end()
        connection.send(b"bye")
    port, origin = h2_scripted(script)
    with H2Client(port) as client:
        client.read_until(lambda: client.settings)
        assert client.settings[8] == 1
        extended_connect(client, 1, fields=[("sec-websocket-protocol", "chat")])
        answer = client.reply(1)
        client.read_until(lambda: answer.body == b"hello")
        assert answer.status == 200
        assert answer.fields["sec-websocket-protocol"] == "chat"
        assert not {"upgrade", "connection", "sec-websocket-accept"} & set(answer.fields)
        client.data(1, b"ping")
        client.read_until(lambda: answer.body == b"hellopong")
        client.data(1, b"", end=True)
        assert client.wait_reply(1).body == b"hellopongbye"
        assert answer.ended
    head = origin.received.split(b"ping")[0]
    first, fields = lines_of(head)
    assert first == b"GET /chat HTTP/1.1"
    assert b"Upgrade: websocket" in fields and b"Connection: upgrade" in fields
    [key] = values_of(head, b"sec-websocket-key")
    assert len(key) == 24


@pytest.mark.parametrize("accept", [b"", b"Sec-WebSocket-Accept: c3VyZWx5IG5vdCB0aGUga2V5IQ==\r\n"])
def test_an_endpoint_that_has_not_read_the_key_is_no_websocket(h2_scripted, accept):
    def script(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                        b"Connection: Upgrade\r\n" + accept + b"\r\n")
        connection.read_to_end()
    port, origin = h2_scripted(script)
    with H2Client(port) as client:
        extended_connect(client, 1)
        client.read_until(lambda: client.reply(1).ended)
        assert client.reply(1).status == 502
    [line] = origin.balancer.wait_access(1)
    assert line["reason"] == "upstream_bad"


@pytest.mark.parametrize("status", (200, 204))
def test_an_answer_that_is_no_tunnel_does_not_look_like_one(h2_scripted, status):
    """Any 2xx would open it, and the body would be read as WebSocket."""
    def script(connection):
        while True:
            connection.read_head()
            connection.send(b"HTTP/1.1 %d OK\r\nContent-Length: 0\r\n\r\n" % status)
    port, origin = h2_scripted(script, retries=0)
    with H2Client(port) as client:
        extended_connect(client, 1)
        assert client.wait_reply(1).status == 502
        assert client.get(3).status == status
    assert [line["reason"] for line in origin.balancer.wait_access(2)] == ["upstream_bad", "ok"]


def test_other_protocols_are_not_implemented(h2):
    port, _, balancer = h2()
    with H2Client(port) as client:
        extended_connect(client, 1, "connect-udp")
        client.read_until(lambda: client.reply(1).ended)
        assert client.reply(1).status == 501
    [line] = balancer.wait_access(1)
    assert line["reason"] == "protocol_unknown"


def test_h2load_gets_an_answer_for_every_request(h2):
    port, _, balancer = h2()
    out = subprocess.run(["h2load", "-n3000", "-c8", "-m32", f"http://127.0.0.1:{port}/"],
                         check=True, capture_output=True, timeout=60, text=True).stdout
    assert "3000 succeeded, 0 failed, 0 errored" in out
    assert len(balancer.wait_access(3000)) == 3000
