"""An HTTP/2 endpoint frame by frame: what a script of a ScriptedOrigin speaks over a connection.

    def script(connection):
        with_h2 = H2Endpoint(connection)
        request = with_h2.wait_request()
        with_h2.answer(request.stream, body=b"hi")
        with_h2.serve()  # the rest is answered 200

Windows are opened for what comes unless opens_windows is False.
"""
import hpack
from hyperframe.frame import (DataFrame, Frame, GoAwayFrame, HeadersFrame, RstStreamFrame,
                              SettingsFrame, WindowUpdateFrame)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def window(stream, n):
    """The bytes of a WINDOW_UPDATE frame."""
    return WindowUpdateFrame(stream, window_increment=n).serialize()


class Request:
    """What has come on one stream."""

    def __init__(self, stream):
        self.stream = stream
        self.head = None  # a list of pairs
        self.trailers = None
        self.body = b""
        self.ended = False
        self.reset = None

    @property
    def fields(self):
        return dict(self.head)

    @property
    def done(self):
        return self.ended or self.reset is not None


class H2Endpoint:
    """The endpoint's side of a connection (ScriptedConnection). settings: by number; None: it says
    none, and nothing else by itself."""

    def __init__(self, connection, settings=(), opens_windows=True):
        self.connection = connection
        self.opens_windows = opens_windows
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.requests = {}
        self.frames = []
        self.settings = {}
        self.windows = {0: 65535}
        self._head = None
        self._given = set()
        assert connection.read_exactly(len(PREFACE)) == PREFACE
        if settings is not None:
            self.send_frames(SettingsFrame(0, settings=dict(settings)))

    # ---- writing ----

    def send(self, data):
        self.connection.send(data)

    def send_frames(self, *frames):
        self.send(b"".join(f.serialize() for f in frames))

    def headers(self, stream, fields, end=False):
        """The bytes of a HEADERS frame."""
        f = HeadersFrame(stream, self.encoder.encode(fields), flags=["END_HEADERS"])
        if end:
            f.flags.add("END_STREAM")
        return f.serialize()

    def head(self, stream, status=200, fields=(), end=False):
        self.send(self.headers(stream, [(":status", str(status)), *fields], end))

    def data(self, stream, data, end=False):
        self.send_frames(DataFrame(stream, data, flags=["END_STREAM"] if end else []))

    def trailers(self, stream, fields):
        self.send(self.headers(stream, fields, end=True))

    def answer(self, stream, status=200, fields=(), body=b"ok"):
        """A whole one, in one write."""
        flags = ["END_STREAM"]
        self.send(self.headers(stream, [(":status", str(status)),
                                        ("content-length", str(len(body))), *fields]) +
                  DataFrame(stream, body, flags=flags).serialize())

    def reset(self, stream, code):
        self.send_frames(RstStreamFrame(stream, error_code=code))

    def goaway(self, last, code=0):
        self.send_frames(GoAwayFrame(0, last_stream_id=last, error_code=code))

    # ---- reading ----

    def request(self, stream):
        return self.requests.setdefault(stream, Request(stream))

    def _take_block(self, stream, flags, block):
        if self._head is not None:
            stream, flags, block = self._head[0], self._head[1] | flags, self._head[2] + block
        if "END_HEADERS" not in flags:
            self._head = (stream, flags, block)
            return
        self._head = None
        request = self.request(stream)
        fields = self.decoder.decode(block)
        if request.head is None:
            request.head = fields
        else:
            request.trailers = fields
        request.ended |= "END_STREAM" in flags

    def _take_data(self, f, flags):
        request = self.request(f.stream_id)
        request.body += f.data
        request.ended |= "END_STREAM" in flags
        if self.opens_windows and f.data:
            self.send_frames(WindowUpdateFrame(0, window_increment=len(f.data)))
            if not request.ended:
                self.send_frames(WindowUpdateFrame(f.stream_id, window_increment=len(f.data)))

    def read_frame(self):
        """Takes the next frame, and returns it."""
        f, n = Frame.parse_frame_header(memoryview(self.connection.read_exactly(9)))
        f.parse_body(memoryview(self.connection.read_exactly(n)))
        self.frames.append(f)
        name, flags = type(f).__name__, set(f.flags)
        if name in ("HeadersFrame", "ContinuationFrame"):
            self._take_block(f.stream_id, flags, f.data)
        elif name == "DataFrame":
            self._take_data(f, flags)
        elif name == "RstStreamFrame":
            self.request(f.stream_id).reset = f.error_code
        elif name == "WindowUpdateFrame":
            self.windows[f.stream_id] = self.windows.get(f.stream_id, 0) + f.window_increment
        elif isinstance(f, SettingsFrame) and "ACK" not in flags:
            self.settings.update(f.settings)
            self.send_frames(SettingsFrame(0, flags=["ACK"]))
        return f

    def read_until(self, condition):
        while not (value := condition()):
            self.read_frame()
        return value

    def _fresh(self, is_ready):
        for stream, request in self.requests.items():
            if stream not in self._given and is_ready(request):
                self._given.add(stream)
                return request
        return None

    def wait_head(self):
        """The next request whose head is there."""
        return self.read_until(lambda: self._fresh(lambda r: r.head is not None))

    def wait_request(self):
        """The next request that is whole."""
        return self.read_until(lambda: self._fresh(lambda r: r.ended))

    def wait_reset(self, stream):
        """The code it was reset with."""
        self.read_until(lambda: self.request(stream).reset is not None)
        return self.request(stream).reset

    def serve(self, **answer):
        """Answers what comes until the balancer closes."""
        while True:
            self.answer(self.wait_request().stream, **answer)
