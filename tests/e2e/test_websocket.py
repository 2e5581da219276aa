"""WebSocket through the balancer over everything it comes by: HTTP/1.1 and HTTP/2, plain and TLS.

The frames are none of the balancer's business, so all of this is about bytes, their order and their
ends: whatever a client library or an endpoint may do with a connection of its own.
"""
import asyncio
import os
import signal
import ssl

import pytest
import websockets

from certificates import Authority
from quoit_process import static_pool
from waiting import wait_until
from websocket_client import (BINARY, CLOSE, MORE, OverHttp1, OverHttp2, PING, PONG, TEXT, frame,
                              read_frame, switch)

SIZES = (0, 1, 125, 126, 127, 65535, 65536, 1 << 20, 16 << 20)
CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1011, 3000, 4999)


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """(a listener's option, a client's context)"""
    authority = Authority(tmp_path_factory.mktemp("ca"))
    pair = authority.issue("localhost", "DNS:localhost")

    def context(*protocols):
        made = ssl.create_default_context(cafile=authority.cert)
        made.set_alpn_protocols(protocols)
        return made
    return {"certificates": [pair.conf]}, context


# Python's TLS cannot end one side alone.
can_end_alone = pytest.mark.parametrize("tunnel", ("http1", "http2", "http2 tls"), indirect=True)


@pytest.fixture(params=("http1", "http1 tls", "http2", "http2 tls"))
def tunnel(request, scripted, tls):
    """tunnel(script, **pool): a client of a balancer before a scripted endpoint, and the latter."""
    option, context = tls
    kind, *has_tls = request.param.split()
    is_http1, clients = kind == "http1", []

    def start(script, receive_buffer=None, client_buffer=None, **pool):
        listener = {"tls": option} if has_tls else {"http2": "on"}
        port, origin = scripted(script, {"listener": listener, "drain_timeout": "1s"},
                                receive_buffer=receive_buffer, **pool)
        made = context("http/1.1" if is_http1 else "h2") if has_tls else None
        clients.append((OverHttp1 if is_http1 else OverHttp2)(port, made, client_buffer))
        return clients[-1], origin
    start.is_http1 = is_http1
    yield start
    for client in clients:
        client.close()


def switched(then):
    """A script that opens the tunnel first."""
    def script(connection):
        connection.send(switch(connection.read_head()))
        then(connection)
    return script


def echo(connection):
    """Messages come back as they came; a ping as a pong, a close as a close, and then the end."""
    while True:
        kind, payload, last = read_frame(connection.read_exactly)
        connection.send(frame(PONG if kind == PING else kind, payload, last, masked=False))
        if kind == CLOSE:
            return


def opened(tunnel, script, **more):
    client, origin = tunnel(switched(script), **more)
    client.ask()
    assert client.answer()[0] == 101
    return client, origin


def reason_of(origin):
    [line] = origin.balancer.wait_access(1)
    assert line["status"] == 101
    return line["reason"]


# ---- messages ----

def test_messages_of_every_size_come_back(tunnel):
    client, _ = opened(tunnel, echo)
    for n in SIZES:
        message = os.urandom(n)
        client.send(frame(BINARY, message))
        assert read_frame(client.read_exactly) == (BINARY, message, True)


def test_a_ping_within_a_fragmented_message_byte_by_byte(tunnel):
    client, _ = opened(tunnel, echo)
    sent = ((TEXT, b"he", False), (PING, b"?" * 125, True), (MORE, b"", False),
            (MORE, b"llo", True))
    for byte in b"".join(frame(*what) for what in sent):
        client.send(bytes([byte]))
    for kind, payload, last in sent:
        assert read_frame(client.read_exactly) == (PONG if kind == PING else kind, payload, last)


def test_a_burst_of_small_messages_both_ways(tunnel):
    def script(connection):
        connection.send(b"".join(frame(TEXT, b"%d" % i, masked=False) for i in range(1000)))
        connection.send(frame(PING, b"now you", masked=False))
        echo(connection)
    client, _ = opened(tunnel, script)
    for i in range(1000):
        client.send(frame(TEXT, b"%d" % i))
    for _ in range(2):
        for i in range(1000):
            kind, payload, _ = read_frame(client.read_exactly)
            if kind == PING:
                kind, payload, _ = read_frame(client.read_exactly)
            assert (kind, payload) == (TEXT, b"%d" % i)


def test_a_reader_that_is_slow_holds_the_other_side_back(tunnel):
    sent = []

    def script(connection):
        for _ in range(16):
            connection.send(b"x" * (1 << 20))
            sent.append(True)
        connection.send(b"end")
    client, origin = opened(tunnel, script, client_buffer=65536)
    wait_for_a_stop(sent)
    assert len(sent) < 16, "nothing held the endpoint back"
    assert origin.balancer.metrics().sum("quoit_buffer_bytes") < 1 << 20
    assert client.read_exactly(16 << 20) == b"x" * (16 << 20)
    assert client.read_exactly(3) == b"end"


def wait_for_a_stop(sent):
    """Returns once nothing has been added for a second."""
    seen = []

    def stands():
        seen.append(len(sent))
        return len(seen) > 10 and seen[-1] == seen[-10]
    wait_until(stands, 30, interval=0.1)


# ---- heads ----

NEGOTIATION = [(b"Origin", b"http://a.example"), (b"Sec-WebSocket-Protocol", b"a, chat.v2"),
               (b"Sec-WebSocket-Extensions",
                b"permessage-deflate; client_max_window_bits, x-a;b=\"c\"")]


def test_what_is_negotiated_passes_unchanged(tunnel):
    chosen = [(b"sec-websocket-protocol", b"chat.v2"),
              (b"sec-websocket-extensions", b"permessage-deflate; server_no_context_takeover")]

    def script(connection):
        connection.send(switch(connection.read_head(), *chosen))
        echo(connection)
    client, origin = tunnel(script)
    client.ask(NEGOTIATION)
    status, fields = client.answer()
    assert status == 101
    assert [field for field in fields if field[0] != b"sec-websocket-accept"] == chosen
    assert (b"sec-websocket-accept" in dict(fields)) == tunnel.is_http1
    lines = origin.wait_received(b"\r\n\r\n").split(b"\r\n")
    assert lines[0] == b"GET /chat HTTP/1.1"
    told = [tuple(line.split(b": ", 1)) for line in lines[1:-2]]
    told = [(name.lower(), value) for name, value in told]
    for name, value in [*NEGOTIATION, (b"Sec-WebSocket-Version", b"13"),
                        (b"Upgrade", b"websocket")]:
        assert [v for n, v in told if n == name.lower()] == [value]


@pytest.mark.parametrize("status", (302, 400, 401, 403, 404, 426, 503))
def test_a_refusal_comes_whole_and_the_connection_goes_on(tunnel, status):
    def script(connection):
        while True:
            connection.read_head()
            connection.send(b"HTTP/1.1 %d Because\r\nContent-Length: 5\r\nX-Why: not\r\n"
                            b"Sec-WebSocket-Version: 13\r\n\r\nsorry" % status)
    client, origin = tunnel(script, retries=0)
    client.ask()
    if not tunnel.is_http1:
        client.client.wait_reply(1)
    got, fields = client.answer()
    assert got == status
    assert client.read_exactly(5) == b"sorry"
    assert {(b"x-why", b"not"), (b"sec-websocket-version", b"13")} <= set(fields)
    assert client.goes_on() == status
    assert len(origin.connections) == 1


def test_bytes_right_behind_the_request_wait_for_the_tunnel(tunnel):
    def script(connection):
        head = connection.read_head()
        assert b"early" not in head
        connection.send(switch(head) + frame(TEXT, b"welcome", masked=False))
        echo(connection)
    client, _ = tunnel(script)
    client.ask(early=frame(TEXT, b"early"))
    assert client.answer()[0] == 101
    assert read_frame(client.read_exactly)[1] == b"welcome"
    assert read_frame(client.read_exactly)[1] == b"early"


# ---- ends ----

def test_close_codes_pass_both_ways(tunnel):
    def script(connection):
        for code in CODES:
            connection.send(frame(CLOSE, b"%c%cmine" % divmod(code, 256), masked=False))
            kind, payload, _ = read_frame(connection.read_exactly)
            assert (kind, payload) == (CLOSE, b"%c%cyours" % divmod(code, 256))
    client, origin = opened(tunnel, script)
    for code in CODES:
        assert read_frame(client.read_exactly)[:2] == (CLOSE, b"%c%cmine" % divmod(code, 256))
        client.send(frame(CLOSE, b"%c%cyours" % divmod(code, 256)))
    assert client.ending() == "end"
    assert not origin.errors


@can_end_alone
def test_a_client_that_ends_hears_the_endpoint_out(tunnel):
    def script(connection):
        assert connection.read_to_end() == b"that is all"
        assert not connection.was_reset
        connection.send(b"z" * 100000)
    client, origin = opened(tunnel, script)
    client.send(b"that is all")
    client.end()
    assert client.read_exactly(100000) == b"z" * 100000
    assert client.ending() == "end"
    assert reason_of(origin) == "ok"


@can_end_alone
def test_an_endpoint_that_ends_hears_the_client_out(tunnel):
    heard = []

    def script(connection):
        connection.send(b"bye")
        connection.sock.shutdown(1)
        heard.append(connection.read_to_end())
        assert not connection.was_reset
    client, origin = opened(tunnel, script)
    assert client.read_exactly(3) == b"bye"
    assert client.ending() == "end"
    client.send(b"one more")
    client.send(b" thing")
    client.end()
    wait_until(lambda: heard == [b"one more thing"], what=lambda: f"{heard}")
    assert reason_of(origin) == "ok"


def test_a_reset_by_the_endpoint_is_one_for_the_client(tunnel):
    def script(connection):
        connection.read_exactly(2)
        connection.reset()
    client, origin = opened(tunnel, script)
    client.send(b"go")
    assert client.ending() == "reset"
    assert reason_of(origin) == "upstream_closed"


def cut(client):
    """The socket is closed with a reset, whatever it carries."""
    if isinstance(client, OverHttp1):
        client.reset()
    else:
        client.client.sock.close()


@pytest.mark.parametrize("give_up", (lambda client: client.reset(), cut), ids=("reset", "cut"))
def test_a_reset_by_the_client_is_one_for_the_endpoint(tunnel, give_up):
    client, origin = opened(tunnel, lambda connection: connection.read_to_end())
    client.send(b"so far")
    origin.wait_received(b"so far")
    give_up(client)
    [connection] = origin.connections
    wait_until(lambda: connection.closed)
    assert connection.was_reset
    assert reason_of(origin) == "client_gone"


def test_an_idle_tunnel_is_cut_on_both_sides(tunnel):
    client, origin = opened(tunnel, lambda connection: connection.read_to_end(),
                            timeouts={"tunnel": "500ms"})
    assert client.ending() == "reset"
    [connection] = origin.connections
    wait_until(lambda: connection.closed)
    assert connection.was_reset
    assert reason_of(origin) == "tunnel_idle"


def test_a_tunnel_that_outlives_the_drain_is_cut_on_both_sides(tunnel):
    client, origin = opened(tunnel, lambda connection: connection.read_to_end())
    client.send(b"so far")
    origin.wait_received(b"so far")
    origin.balancer.signal(signal.SIGTERM)
    if tunnel.is_http1:
        assert client.ending() == "reset"
    else:
        client.client.wait_closed()
        assert not client.reply.ended
    [connection] = origin.connections
    wait_until(lambda: connection.closed)
    assert connection.was_reset
    assert origin.balancer.process.wait(15) == 0
    assert reason_of(origin) == "drained"


# ---- a library ----

@pytest.mark.parametrize("compression", (None, "deflate"))
@pytest.mark.parametrize("has_tls", (False, True))
def test_a_library_talks_with_and_without_compression(quoit, tls, has_tls, compression):
    option, context = tls
    listener = {"tls": option} if has_tls else {}

    async def answer(websocket, _path=None):
        async for message in websocket:
            await websocket.send(message)

    async def session():
        async with websockets.serve(answer, "127.0.0.1", 0, max_size=None,
                                    subprotocols=["chat.v2"]) as server:
            port = server.sockets[0].getsockname()[1]
            balancer = await asyncio.to_thread(
                quoit, {"listener": listener, "pools": {"web": static_pool([f"127.0.0.1:{port}"])}})
            url = f"{'wss' if has_tls else 'ws'}://localhost:{balancer.port}/chat"
            async with websockets.connect(
                    url, ssl=context("http/1.1") if has_tls else None, max_size=None,
                    compression=compression, subprotocols=["a", "chat.v2"]) as client:
                assert bool(client.extensions) == bool(compression)
                assert client.subprotocol == "chat.v2"
                for message in ("hello", "", b"z" * (1 << 20), os.urandom(1 << 20)):
                    await client.send(message)
                    assert await client.recv() == message
                await client.send(["in ", "three ", "parts"])
                assert await client.recv() == "in three parts"
                await (await client.ping())
            assert client.close_code == 1000

    asyncio.run(session())
