"""Large bodies, slow peers, back-pressure: memory stays bounded and no byte is lost."""
import hashlib
import threading

import pytest

from http_client import RawClient
from memory import Memory
from scripted import reply, values_of
from waiting import wait_until

BIG = 64 << 20
PIECE = bytes(range(256)) * 256  # 64 KiB that show a shift


def request(line, *fields, body=b""):
    return b"\r\n".join([line, b"Host: a.example", *fields, b"", body])


def digest_of(n):
    digest = hashlib.sha256()
    for _ in range(n // len(PIECE)):
        digest.update(PIECE)
    return digest.hexdigest()


EXPECTED = digest_of(BIG)


def hash_exactly(read, n):
    digest = hashlib.sha256()
    while n:
        data = read(min(n, 1 << 18))
        digest.update(data)
        n -= len(data)
    return digest.hexdigest()


def recv_some(sock):
    def read(n):
        data = sock.recv(n)
        assert data, "ended too early"
        return data
    return read


def chunked(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def hash_upload(connection, is_chunked):
    """Reads the upload from the socket itself: what is kept is only its hash."""
    connection.read_head()
    begin = connection.received[connection.n_read:]
    sock = connection.sock
    file = sock.makefile("rb")
    if not is_chunked:
        digest = hashlib.sha256(begin)
        left = BIG - len(begin)
        while left:
            data = file.read(min(left, 1 << 18))
            assert data, "ended too early"
            digest.update(data)
            left -= len(data)
        return digest.hexdigest()
    return hash_chunks(begin, file)


def hash_chunks(begin, file):
    class Joined:
        def __init__(self):
            self.buffer = begin

        def fill(self):
            data = file.read1(1 << 18)
            assert data, "ended too early"
            self.buffer += data

        def line(self):
            while b"\r\n" not in self.buffer:
                self.fill()
            line, self.buffer = self.buffer.split(b"\r\n", 1)
            return line

        def take(self, n):
            while len(self.buffer) < n:
                self.fill()
            taken, self.buffer = self.buffer[:n], self.buffer[n:]
            return taken

    joined, digest = Joined(), hashlib.sha256()
    while size := int(joined.line(), 16):
        digest.update(joined.take(size))
        assert joined.take(2) == b"\r\n"
    assert joined.line() == b""
    return digest.hexdigest()


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_large_upload_arrives_whole_in_bounded_memory(scripted, is_chunked):
    port, origin = scripted(lambda connection: connection.send(
        reply(hash_upload(connection, is_chunked).encode())))
    memory = Memory(origin.balancer)
    with RawClient(port) as client:
        framing = b"Transfer-Encoding: chunked" if is_chunked else b"Content-Length: %d" % BIG
        client.send(request(b"POST / HTTP/1.1", framing))
        for _ in range(BIG // len(PIECE)):
            client.send(chunked(PIECE) if is_chunked else PIECE)
        if is_chunked:
            client.send(b"0\r\n\r\n")
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        assert client.read_exactly(64).decode() == EXPECTED
    memory.assert_bounded()


def send_big(connection, is_chunked):
    connection.read_head()
    framing = b"Transfer-Encoding: chunked" if is_chunked else b"Content-Length: %d" % BIG
    connection.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n")
    for _ in range(BIG // len(PIECE)):
        connection.send(chunked(PIECE) if is_chunked else PIECE)
    if is_chunked:
        connection.send(b"0\r\n\r\n")


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_large_download_arrives_whole_in_bounded_memory(scripted, is_chunked):
    port, origin = scripted(lambda connection: send_big(connection, is_chunked))
    memory = Memory(origin.balancer)
    with RawClient(port) as client:
        client.send(request(b"GET / HTTP/1.1"))
        client.read_until(b"\r\n\r\n")
        begin, client.buffer = client.buffer, b""
        if is_chunked:
            digest = hash_chunks(begin, client.sock.makefile("rb"))
        else:
            whole = hashlib.sha256(begin)
            left = BIG - len(begin)
            while left:
                data = client.sock.recv(min(left, 1 << 18))
                assert data, "ended too early"
                whole.update(data)
                left -= len(data)
            digest = whole.hexdigest()
    assert digest == EXPECTED
    memory.assert_bounded()


def test_bodies_flow_both_ways_at_once(scripted):
    """The origin echoes while the upload still runs; neither side waits for the other's end."""
    def echo(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG)
        begin = connection.received[connection.n_read:]
        connection.send(begin)
        left = BIG - len(begin)
        while left:
            data = connection.sock.recv(min(left, 1 << 18))
            connection.send(data)
            left -= len(data)

    port, origin = scripted(echo)
    memory = Memory(origin.balancer)
    with RawClient(port) as client:
        client.send(request(b"POST / HTTP/1.1", b"Content-Length: %d" % BIG))

        def upload():
            for _ in range(BIG // len(PIECE)):
                client.sock.sendall(PIECE)

        thread = threading.Thread(target=upload, daemon=True)
        thread.start()
        head = client.read_until(b"\r\n\r\n")
        assert values_of(head, b"content-length") == [b"%d" % BIG]
        begin, client.buffer = client.buffer, b""
        digest = hashlib.sha256(begin)
        left = BIG - len(begin)
        while left:
            data = client.sock.recv(min(left, 1 << 18))
            assert data, "ended too early"
            digest.update(data)
            left -= len(data)
        thread.join(10)
        assert not thread.is_alive()
    assert digest.hexdigest() == EXPECTED
    memory.assert_bounded()


class Flood:
    """Sends until the socket takes no more for a while; knows how much went."""

    def __init__(self, sock, total):
        self.sent, self.total, self.sock = 0, total, sock
        self.failed = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            while self.sent < self.total:
                self.sock.sendall(PIECE)
                self.sent += len(PIECE)
        except OSError:
            self.failed = True

    def wait_halt(self):
        last = [-1]

        def halted():
            seen, last[0] = last[0] == self.sent and self.sent > 0, self.sent
            return seen

        wait_until(halted, 20, "the sender comes to a halt", interval=0.3)
        assert self.sent < self.total


def test_an_upload_halts_while_the_origin_reads_nothing(scripted):
    go_on = threading.Event()

    def script(connection):
        connection.read_head()
        assert go_on.wait(30)
        connection.send(reply(hash_rest(connection).encode()))

    def hash_rest(connection):
        begin = connection.received[connection.n_read:]
        digest, left = hashlib.sha256(begin), BIG - len(begin)
        while left:
            data = connection.sock.recv(min(left, 1 << 18))
            assert data, "ended too early"
            digest.update(data)
            left -= len(data)
        return digest.hexdigest()

    port, origin = scripted(script, receive_buffer=1 << 16)
    memory = Memory(origin.balancer)
    with RawClient(port, timeout=30) as client:
        client.send(request(b"POST / HTTP/1.1", b"Content-Length: %d" % BIG))
        flood = Flood(client.sock, BIG)
        flood.wait_halt()
        memory.assert_bounded()
        go_on.set()
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        assert client.read_exactly(64).decode() == EXPECTED


def test_a_download_halts_while_the_client_reads_nothing(scripted):
    floods = []

    def script(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG)
        floods.append(Flood(connection.sock, BIG))
        floods[0].thread.join(60)

    port, origin = scripted(script)
    memory = Memory(origin.balancer)
    with RawClient(port, timeout=30) as client:
        client.send(request(b"GET / HTTP/1.1"))
        wait_until(lambda: floods)
        floods[0].wait_halt()
        memory.assert_bounded()
        client.read_until(b"\r\n\r\n")
        begin, client.buffer = client.buffer, b""
        digest, left = hashlib.sha256(begin), BIG - len(begin)
        while left:
            data = client.sock.recv(min(left, 1 << 18))
            assert data, "ended too early"
            digest.update(data)
            left -= len(data)
    assert digest.hexdigest() == EXPECTED


def test_a_stalled_client_does_not_slow_down_another_one_of_the_same_worker(scripted):
    def script(connection):
        while True:
            head = connection.read_head()
            if b"/big" in head.split(b"\r\n")[0]:
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG)
                for _ in range(BIG // len(PIECE)):
                    connection.send(PIECE)
            else:
                connection.send(reply())

    port, _ = scripted(script)
    with RawClient(port) as stalled, RawClient(port) as other:
        stalled.send(request(b"GET /big HTTP/1.1"))
        stalled.read_until(b"\r\n\r\n")
        for _ in range(100):
            other.send(request(b"GET /small HTTP/1.1"))
            assert other.read_until(b"\r\n\r\nok").startswith(b"HTTP/1.1 200 ")


def test_many_tiny_chunks_arrive_whole(scripted):
    n = 20000

    def script(connection):
        connection.read_head()
        data = b"".join(b"1\r\n%c\r\n" % (97 + i % 26) for i in range(n))
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + data
                        + b"0\r\n\r\n")

    port, _ = scripted(script)
    with RawClient(port) as client:
        client.send(request(b"GET / HTTP/1.1", b"Connection: close"))
        client.read_until(b"\r\n\r\n")
        body = client.read_to_end()
    letters = bytes(97 + i % 26 for i in range(n))
    payload, at = b"", 0
    while size := int(body[at:body.index(b"\r\n", at)], 16):
        at = body.index(b"\r\n", at) + 2
        payload += body[at:at + size]
        at += size + 2
    assert payload == letters


def test_hundreds_of_pipelined_requests_to_a_client_that_does_not_read_stay_bounded(scripted):
    """Responses of 10 kB to 5000 pipelined requests; the client starts to read only at the end."""
    body = b"x" * 10000

    def script(connection):
        while True:
            connection.read_head()
            connection.send(reply(body))

    port, origin = scripted(script)
    memory = Memory(origin.balancer)
    n = 5000
    with RawClient(port, timeout=30) as client:
        line = request(b"GET / HTTP/1.1")
        sender = threading.Thread(target=lambda: client.sock.sendall(line * n), daemon=True)
        sender.start()
        seen = [-1]

        def halted():
            before, seen[0] = seen[0], len(origin.received)
            return before == seen[0] and before > 0

        wait_until(halted, 20, "the balancer comes to a halt", interval=0.3)
        memory.assert_bounded()
        for _ in range(n):
            assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
            assert len(client.read_exactly(len(body))) == len(body)
        sender.join(10)
