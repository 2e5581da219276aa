"""An HTTP/2 client frame by frame: it sends what a test says, right or wrong, and keeps what comes.

Windows are left alone and nothing is answered but SETTINGS, unless the test does it.
"""
import socket
import struct
import time

import hpack
from hyperframe.frame import (DataFrame, Frame, GoAwayFrame, HeadersFrame, RstStreamFrame,
                              SettingsFrame, WindowUpdateFrame)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = range(4)
SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL = range(4, 9)
COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 9, 11


class Reply:
    """What has come on one stream."""

    def __init__(self):
        self.heads = []  # lists of pairs; trailers are the last
        self.body = b""
        self.ended = False
        self.reset = None  # an error code

    @property
    def done(self):
        return self.ended or self.reset is not None

    def _heads_with_status(self):
        return [dict(head) for head in self.heads if ":status" in dict(head)]

    @property
    def statuses(self):
        return [int(head[":status"]) for head in self._heads_with_status()]

    @property
    def status(self):
        """Of the final response; None: there is none."""
        final = [status for status in self.statuses if status >= 200]
        return final[0] if final else None

    @property
    def fields(self):
        return self._heads_with_status()[-1]

    @property
    def trailers(self):
        return [head for head in self.heads if ":status" not in dict(head)]


def frame(kind, flags=0, stream=0, payload=b""):
    """The bytes of any frame."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def literals(fields):
    """A header block without indexing: also what an encoder would refuse or tidy up."""
    def text(value):
        data = value.encode("latin-1")
        assert len(data) < 127
        return bytes([len(data)]) + data
    return b"".join(b"\0" + text(name) + text(value) for name, value in fields)


class H2Client:
    """A context manager. settings: what its SETTINGS say, by number. tls: an SSLContext."""

    def __init__(self, port, settings=None, preface=PREFACE, timeout=10, receive_buffer=None,
                 tls=None):
        self.sock = socket.socket()
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.connect(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname="localhost")
        self.timeout = timeout
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.port = port
        self.buffer = b""
        self.frames = []
        self.replies = {}
        self.settings = {}
        self.goaways = []  # (last stream, error code)
        self.closed = False
        self.acks_settings = True
        self._head = None  # (stream, flags, bytes) of a header block that has not ended
        if preface is not None:
            self.send(preface + SettingsFrame(0, settings=settings or {}).serialize())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, data):
        self.sock.settimeout(self.timeout)
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # what was said before is still to be read

    def send_frames(self, *frames):
        self.send(b"".join(f.serialize() for f in frames))

    def pseudo(self, method="GET", path="/", scheme="http", authority=None):
        authority = authority or f"127.0.0.1:{self.port}"
        return [(":method", method), (":scheme", scheme), (":authority", authority),
                (":path", path)]

    def headers(self, stream, fields, end=True, flags=()):
        """The bytes of a HEADERS frame."""
        block = self.encoder.encode(fields)
        f = HeadersFrame(stream, block, flags=["END_HEADERS", *flags])
        if end:
            f.flags.add("END_STREAM")
        return f.serialize()

    def request(self, stream, path="/", fields=(), end=True, method="GET", **pseudo):
        self.send(self.headers(stream, self.pseudo(method, path, **pseudo) + list(fields), end))

    def data(self, stream, data, end=False):
        self.send_frames(DataFrame(stream, data, flags=["END_STREAM"] if end else []))

    def window(self, stream, n):
        self.send_frames(WindowUpdateFrame(stream, window_increment=n))

    def reset(self, stream, code=CANCEL):
        self.send_frames(RstStreamFrame(stream, error_code=code))

    def reply(self, stream):
        return self.replies.setdefault(stream, Reply())

    # ---- reading ----

    def _take_block(self, stream, flags, block):
        if self._head is not None:
            stream, flags, block = self._head[0], self._head[1] | flags, self._head[2] + block
        if "END_HEADERS" not in flags:
            self._head = (stream, flags, block)
            return
        self._head = None
        self.reply(stream).heads.append(self.decoder.decode(block))
        if "END_STREAM" in flags:
            self.reply(stream).ended = True

    def _take(self, f):
        self.frames.append(f)
        name, flags = type(f).__name__, set(f.flags)
        if name in ("HeadersFrame", "ContinuationFrame"):
            self._take_block(f.stream_id, flags, f.data)
        elif name == "DataFrame":
            self.reply(f.stream_id).body += f.data
            self.reply(f.stream_id).ended |= "END_STREAM" in flags
        elif name == "RstStreamFrame":
            self.reply(f.stream_id).reset = f.error_code
        elif isinstance(f, GoAwayFrame):
            self.goaways.append((f.last_stream_id, f.error_code))
        elif isinstance(f, SettingsFrame) and "ACK" not in flags:
            self.settings.update(f.settings)
            if self.acks_settings:
                self.send_frames(SettingsFrame(0, flags=["ACK"]))

    def _parse(self):
        while len(self.buffer) >= 9:
            f, n = Frame.parse_frame_header(memoryview(self.buffer[:9]))
            if len(self.buffer) < 9 + n:
                return
            f.parse_body(memoryview(self.buffer[9:9 + n]))
            self.buffer = self.buffer[9 + n:]
            self._take(f)

    def fill(self, timeout):
        """Reads once; False when nothing came in time or the connection is closed."""
        self.sock.settimeout(max(timeout, 0.001))
        try:
            data = self.sock.recv(1 << 18)
        except socket.timeout:
            return False
        except ConnectionResetError:
            data = b""
        if not data:
            self.closed = True
            return False
        self.buffer += data
        self._parse()
        return True

    def read_until(self, condition, timeout=None, what="what was waited for"):
        deadline = time.monotonic() + (timeout or self.timeout)
        while not condition():
            left = deadline - time.monotonic()
            assert left > 0 and not self.closed, \
                f"{what} did not come; frames: {self.frames[-20:]}, closed: {self.closed}"
            self.fill(left)
        return self

    def wait_reply(self, *streams, timeout=None):
        """Reads until these streams are over; returns the reply of the last one."""
        self.read_until(lambda: all(self.reply(s).done for s in streams), timeout,
                        f"the end of {streams}")
        return self.reply(streams[-1])

    def get(self, stream=1, path="/", fields=(), **more):
        self.request(stream, path, fields, **more)
        return self.wait_reply(stream)

    def wait_goaway(self, code, timeout=None):
        self.read_until(lambda: any(c == code for _, c in self.goaways), timeout,
                        f"GOAWAY with {code}")

    def wait_closed(self, timeout=None):
        """Reads to the end of the connection."""
        deadline = time.monotonic() + (timeout or self.timeout)
        while not self.closed:
            left = deadline - time.monotonic()
            assert left > 0, f"the connection stays open; frames: {self.frames[-20:]}"
            self.fill(left)

    def ping(self, timeout=None):
        """Whatever was sent before has been read when this returns."""
        n = len(self.frames)
        self.send(frame(6, payload=b"are you?"))
        self.read_until(lambda: any(type(f).__name__ == "PingFrame" for f in self.frames[n:]),
                        timeout, "a PING's answer")
