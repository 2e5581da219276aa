"""Upgrade: WebSocket sessions of a real library, tunnels byte by byte, half-close, refusals."""
import asyncio
import os
import socket
import threading

import pytest
import websockets

from http_client import RawClient, raw
from scripted import lines_of, reply, values_of
from waiting import wait_until


def request(line, *fields, body=b""):
    return b"\r\n".join([line, b"Host: a.example", *fields, b"", body])


UPGRADE = request(b"GET /chat HTTP/1.1", b"Connection: keep-alive, Upgrade", b"Upgrade: x-test")
SWITCH = (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x-test\r\nConnection: Upgrade\r\n"
          b"X-More: 1\r\n\r\n")


def test_a_websocket_library_talks_through_the_balancer(quoit):
    async def echo(websocket, _path=None):
        async for message in websocket:
            await websocket.send(message)

    async def session():
        async with websockets.serve(echo, "127.0.0.1", 0, max_size=None) as server:
            port = server.sockets[0].getsockname()[1]
            balancer = await asyncio.to_thread(
                quoit, {"pools": {"web": {"endpoints": [f"127.0.0.1:{port}"]}}})
            url = f"ws://127.0.0.1:{balancer.port}/chat"
            async with websockets.connect(url, max_size=None) as client:
                for message in ("hello", "", os.urandom(1 << 20), "\N{SNOWMAN}" * 1000):
                    await client.send(message)
                    assert await client.recv() == message
                await (await client.ping())
            assert client.close_code == 1000
            return balancer

    balancer = asyncio.run(session())
    [line] = balancer.wait_access(1)
    assert line["status"] == 101


def test_many_websockets_at_once(quoit):
    async def echo(websocket, _path=None):
        async for message in websocket:
            await websocket.send(message)

    async def talk(url, n):
        async with websockets.connect(url) as client:
            for i in range(20):
                await client.send(f"{n} {i}")
                assert await client.recv() == f"{n} {i}"

    async def session():
        async with websockets.serve(echo, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            balancer = await asyncio.to_thread(
                quoit, {"pools": {"web": {"endpoints": [f"127.0.0.1:{port}"]}}})
            url = f"ws://127.0.0.1:{balancer.port}/chat"
            await asyncio.gather(*(talk(url, n) for n in range(50)))

    asyncio.run(session())


def test_the_heads_of_an_upgrade_pass_with_exactly_these_lines(scripted):
    def script(connection):
        connection.read_head()
        connection.send(SWITCH)
        connection.read_to_end()

    port, origin = scripted(script)
    with RawClient(port) as client:
        client.send(UPGRADE)
        first, fields = lines_of(client.read_until(b"\r\n\r\n"))
    assert first == b"HTTP/1.1 101 Switching Protocols"
    assert [line.lower() for line in fields] == \
        [b"connection: upgrade", b"upgrade: x-test", b"x-more: 1"]
    head = origin.received
    assert [v.lower() for v in values_of(head, b"connection")] == [b"upgrade"]
    assert values_of(head, b"upgrade") == [b"x-test"]


def test_bytes_sent_with_either_head_are_part_of_the_tunnel(scripted):
    def script(connection):
        connection.read_head()
        connection.send(SWITCH + b"welcome")
        assert connection.read_exactly(5) == b"early"
        connection.send(b"!")
        connection.read_to_end()

    port, _ = scripted(script)
    with RawClient(port) as client:
        client.send(UPGRADE + b"early")
        client.read_until(b"\r\n\r\n")
        assert client.read_exactly(8) == b"welcome!"


@pytest.mark.parametrize("first", ["client", "origin"])
def test_each_half_closes_on_its_own(scripted, first):
    """One side ends; the other one still talks for as long as it likes."""
    ended = threading.Event()

    def script(connection):
        connection.read_head()
        connection.send(SWITCH)
        if first == "client":
            assert connection.read_to_end() == b"last words"
            ended.set()
            for _ in range(10):
                connection.send(b"y" * 1000)
        else:
            connection.sock.shutdown(socket.SHUT_WR)
            assert connection.read_to_end() == b"z" * 10000

    port, origin = scripted(script)
    with RawClient(port) as client:
        client.send(UPGRADE)
        client.read_until(b"\r\n\r\n")
        if first == "client":
            client.send(b"last words")
            client.half_close()
            assert ended.wait(5)
            assert client.read_to_end() == b"y" * 10000
        else:
            assert client.read_to_end() == b""
            for _ in range(10):
                client.send(b"z" * 1000)
            client.half_close()
            wait_until(lambda: origin.connections[0].closed)
    origin.balancer.wait_access(1)


def test_a_reset_on_one_side_ends_the_other(scripted):
    def script(connection):
        connection.read_head()
        connection.send(SWITCH)
        connection.read_exactly(2)
        connection.reset()

    port, _ = scripted(script)
    with RawClient(port) as client:
        client.send(UPGRADE)
        client.read_until(b"\r\n\r\n")
        client.send(b"go")
        assert client.read_to_end() == b""


def test_a_large_transfer_through_a_tunnel_is_byte_by_byte_the_same(scripted):
    data = os.urandom(1 << 20) * 8

    def script(connection):
        connection.read_head()
        connection.send(SWITCH)
        while piece := connection.sock.recv(1 << 16):
            connection.send(piece)

    port, _ = scripted(script)
    with RawClient(port) as client:
        client.send(UPGRADE)
        client.read_until(b"\r\n\r\n")

        def upload():
            client.sock.sendall(data)
            client.half_close()

        thread = threading.Thread(target=upload, daemon=True)
        thread.start()
        assert client.read_to_end() == data
        thread.join(10)


def test_an_idle_tunnel_ends_and_a_busy_one_does_not(scripted):
    def script(connection):
        connection.read_head()
        connection.send(SWITCH)
        while True:
            connection.read_exactly(1)
            connection.send(b".")

    port, origin = scripted(script, timeouts={"tunnel": "500ms"})
    with RawClient(port) as client:
        client.send(UPGRADE)
        client.read_until(b"\r\n\r\n")
        for _ in range(10):
            client.sock.settimeout(5)
            client.send(b"?")
            assert client.read_exactly(1) == b"."
            threading.Event().wait(0.1)  # a second in all: twice the deadline
        assert client.read_to_end() == b""
    wait_until(lambda: origin.connections[0].closed)
    [line] = origin.balancer.wait_access(1)
    assert line["reason"] == "tunnel_idle"


# --- refusals -------------------------------------------------------------------------------------


def test_an_origin_may_decline_and_the_connection_goes_on(scripted):
    def script(connection):
        while True:
            connection.read_head()
            connection.send(reply())

    port, _ = scripted(script)
    with RawClient(port) as client:
        for _ in range(2):
            client.send(UPGRADE)
            head = client.read_until(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK\r\n") and not values_of(head, b"upgrade")
            assert client.read_exactly(2) == b"ok"


@pytest.mark.parametrize("fields", [
    [b"Upgrade: x-test"],  # without the Connection option
    [b"Connection: upgrade"],  # without the field
    [b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings", b"HTTP2-Settings: AAMAAABk"],
])
def test_an_upgrade_that_is_none_is_not_passed_on(scripted, fields):
    def script(connection):
        connection.read_head()
        connection.send(reply())

    port, origin = scripted(script)
    raw(port, request(b"GET / HTTP/1.1", b"Connection: close", *fields))
    for name in (b"upgrade", b"http2-settings", b"connection"):
        assert not values_of(origin.received, name)


def test_an_http_1_0_client_cannot_upgrade(scripted):
    def script(connection):
        connection.read_head()
        connection.send(reply())

    port, origin = scripted(script)
    raw(port, UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"keep-alive, ", b""))
    assert not values_of(origin.received, b"upgrade")


def test_a_switch_that_nobody_asked_for_is_502(scripted):
    def script(connection):
        connection.read_head()
        connection.send(SWITCH + b"evil")
        connection.read_to_end()

    port, _ = scripted(script, retries=0)
    with RawClient(port) as client:
        client.send(request(b"GET / HTTP/1.1"))
        head = client.read_until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 502 ")
        assert b"evil" not in client.buffer
