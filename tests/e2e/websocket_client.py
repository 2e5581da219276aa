"""WebSocket clients by bytes: over HTTP/1.1 and, by extended CONNECT (RFC 8441), over HTTP/2.

Both kinds have the same face: heads of the answer, bytes both ways, an end, a reset. Frames of
WebSocket (RFC 6455 section 5.2) are made and read by hand, so that a test says what each byte is.
"""
import base64
import hashlib
import socket
import ssl
import struct

from h2_client import H2Client, CANCEL
from http_client import RawClient
from scripted import values_of

TEXT, BINARY, CLOSE, PING, PONG, MORE = 1, 2, 8, 9, 10, 0
CHUNK = 16384


def accept_of(head):
    """What proves to have read the key of a handshake (RFC 6455 section 4.2.2)."""
    [key] = values_of(head, b"sec-websocket-key")
    digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    return base64.b64encode(digest)


def switch(head, *fields):
    """An endpoint's answer that opens the tunnel which head asks for."""
    return b"\r\n".join([
        b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + accept_of(head), *(b"%s: %s" % field for field in fields),
        b"", b""])


def frame(kind, payload=b"", last=True, masked=True):
    mask, n = 0x80 if masked else 0, len(payload)
    if n < 126:
        length = bytes([mask | n])
    else:
        length = (struct.pack(">BH", mask | 126, n) if n < 65536
                  else struct.pack(">BQ", mask | 127, n))
    # A mask of zeros is one, too, and leaves the payload as it is.
    return bytes([kind | (0x80 if last else 0)]) + length + (bytes(4) if masked else b"") + payload


def read_frame(read_exactly):
    """(kind, payload, whether it is the last one of its message)"""
    first, second = read_exactly(2)
    n = second & 127
    if n >= 126:
        n = int.from_bytes(read_exactly(2 if n == 126 else 8), "big")
    mask = read_exactly(4) if second & 128 else bytes(4)
    payload = read_exactly(n)
    if mask != bytes(4):
        payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    return first & 15, payload, bool(first & 128)


class OverHttp1:
    """tls: an SSLContext, or None."""

    def __init__(self, port, tls=None, receive_buffer=None):
        self.raw = RawClient(port, receive_buffer=receive_buffer)
        self.tls = tls
        if tls:
            self.raw.sock = tls.wrap_socket(self.raw.sock, server_hostname="localhost",
                                            suppress_ragged_eofs=False)

    def close(self):
        self.raw.sock.close()

    def ask(self, fields=(), early=b""):
        """Asks for a tunnel; early goes right behind that."""
        lines = [b"GET /chat HTTP/1.1", b"Host: a.example", b"Connection: keep-alive, Upgrade",
                 b"Upgrade: websocket", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                 b"Sec-WebSocket-Version: 13", *(b"%s: %s" % field for field in fields)]
        self.raw.send(b"\r\n".join(lines) + b"\r\n\r\n" + early)

    def answer(self):
        """(status, fields) of the answer's head, without those of the connection."""
        first, *lines = self.raw.read_until(b"\r\n\r\n")[:-4].split(b"\r\n")
        fields = [tuple(line.split(b": ", 1)) for line in lines]
        return int(first.split()[1]), [(name.lower(), value) for name, value in fields
                                       if name.lower() not in (b"connection", b"upgrade")]

    def goes_on(self):
        """The connection takes another request."""
        self.raw.send(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
        return self.answer()[0]

    def send(self, data):
        self.raw.send(data)

    def read_exactly(self, n):
        return self.raw.read_exactly(n)

    def end(self):
        assert not self.tls, "Python's TLS cannot end one side alone"
        self.raw.half_close()

    def reset(self):
        if self.tls:
            self.raw.sock = socket.socket(fileno=self.raw.sock.detach())
        self.raw.reset()

    def ending(self):
        """Reads to the end, which is "end" or "reset"."""
        try:
            while self.raw.sock.recv(1 << 16):
                pass
        except (ConnectionResetError, ssl.SSLEOFError):
            return "reset"
        return "end"


class OverHttp2:
    def __init__(self, port, tls=None, receive_buffer=None):
        self.client = H2Client(port, tls=tls, receive_buffer=receive_buffer, timeout=15)
        self.client.read_until(lambda: self.client.settings)
        self.window = {0: 65535, 1: self.client.settings[4]}
        self.seen = self.unread = 0

    def close(self):
        self.client.sock.close()

    @property
    def reply(self):
        return self.client.reply(1)

    def ask(self, fields=(), early=b""):
        self.client.send(self.client.headers(1, [
            (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"),
            (":path", "/chat"), (":authority", "a.example"), ("sec-websocket-version", "13"),
            *((name.decode().lower(), value.decode()) for name, value in fields)], end=False))
        if early:
            self.send(early)

    def answer(self):
        self.client.read_until(lambda: self.reply.heads)
        [(_, status), *fields] = self.reply.heads[0]
        return (101 if status == "200" else int(status),  # RFC 8441 section 5
                [(name.encode(), value.encode()) for name, value in fields])

    def goes_on(self):
        return self.client.get(3).status

    def _take_windows(self):
        for f in self.client.frames[self.seen:]:
            if type(f).__name__ == "WindowUpdateFrame":
                self.window[f.stream_id] += f.window_increment
        self.seen = len(self.client.frames)

    def send(self, data):
        while data:
            self._take_windows()
            n = min(len(data), CHUNK, *self.window.values())
            if n == 0:
                assert self.client.fill(15), "the window stays shut"
                continue
            self.client.data(1, data[:n])
            self.window = {stream: left - n for stream, left in self.window.items()}
            data = data[n:]

    def read_exactly(self, n):
        pieces, reply = [], self.reply
        while n > 0:
            self.client.read_until(lambda: reply.body or reply.done)
            assert reply.body, "the tunnel has ended"
            pieces.append(reply.body[:n])
            reply.body = reply.body[len(pieces[-1]):]
            n -= len(pieces[-1])
            self._open_windows(len(pieces[-1]))
        return b"".join(pieces)

    def _open_windows(self, n):
        self.unread += n
        if self.unread >= CHUNK:
            for stream in (0, 1):
                self.client.window(stream, self.unread)
            self.unread = 0

    def end(self):
        self.client.data(1, b"", end=True)

    def reset(self):
        self.client.reset(1)

    def ending(self):
        self.client.read_until(lambda: self.reply.done)
        if self.reply.reset is None:
            return "end"
        assert self.reply.reset == CANCEL  # RFC 8441 section 5
        return "reset"
