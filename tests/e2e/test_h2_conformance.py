"""HTTP/2 section by section (RFC 9113, RFC 7541): what a client sends, and what it must get for it.

A case is a row of a table: the section and what is done, the bytes behind the client's preface (or
a function that sends), what is expected. After the error of a stream the connection must still
serve, after an error of the connection it must close. An error of a stream may be treated
as one of the connection (RFC 9113 section 5.4); the tables say which of the two it is here.
"""
import struct

import pytest

from h2_client import (CANCEL, COMPRESSION_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, H2Client,
                       PREFACE, PROTOCOL_ERROR, STREAM_CLOSED, frame, literals)
from origins import Origin
from quoit_process import Quoit, static_pool

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = range(5)
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(5, 10)
END_STREAM, ACK, END_HEADERS, PADDED, WITH_PRIORITY = 1, 1, 4, 8, 32
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_STREAMS, INITIAL_WINDOW, MAX_FRAME, MAX_LIST = range(1, 7)
LARGEST_WINDOW = (1 << 31) - 1
STREAMS = 20  # that the balancer allows at once

GET = [(":method", "GET"), (":scheme", "http"), (":authority", "a.example"), (":path", "/")]
POST = [(":method", "POST"), *GET[1:]]
CONNECT = [(":method", "CONNECT"), (":authority", "a.example:443")]
PACKED = b"\x82\x86\x84\x01\x09a.example"  # GET in HPACK: three of the static table, one literal


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One balancer before one origin for all cases: connections do not know of each other."""
    with Origin() as origin:
        balancer = Quoit({
            "listener": {"http2": "only"}, "workers": 1,
            "client": {"http2_max_streams": STREAMS},
            "pools": {"web": static_pool([origin])}}, tmp_path_factory.mktemp("h2"), "quoit")
        balancer.start()
        yield balancer
        balancer.close()


@pytest.fixture
def client(request, shared):
    request.node.quoits = [shared]  # their logs are shown where a case fails
    with H2Client(shared.port) as started:
        yield started


# ---- what is expected ----

def goes_on(client, number=1001):
    """The connection serves as if nothing had been."""
    client.ping()
    client.send(headers(number))
    assert client.wait_reply(number).status == 200
    assert not client.goaways


def connection_error(code):
    def check(client):
        client.read_until(lambda: client.goaways, what="GOAWAY")
        assert client.goaways[-1][1] == code
        client.wait_closed()
    return check


def stream_error(code, number=1):
    def check(client):
        client.read_until(lambda: client.reply(number).reset is not None or client.goaways,
                          what="RST_STREAM")
        assert client.reply(number).reset == code, client.goaways
        goes_on(client)
    return check


def answered(*numbers, status=200):
    """These streams are answered, to their end; the connection goes on."""
    def check(client):
        client.wait_reply(*numbers)
        replies = [client.reply(number) for number in numbers]
        for reply in replies:
            assert (reply.status, reply.ended, reply.reset) == (status, True, None)
        goes_on(client)
    return check


def ignored(client):
    goes_on(client)
    assert all(reply.reset is None for reply in client.replies.values())


# ---- what is sent ----

def headers(number=1, fields=None, flags=END_HEADERS | END_STREAM, before=b"", behind=b""):
    return frame(HEADERS, flags, number, before + literals(fields or GET) + behind)


def opened(number=1, fields=None):
    """A request whose body is to come."""
    return headers(number, fields or POST, END_HEADERS)


def data(payload=b"", number=1, flags=END_STREAM):
    return frame(DATA, flags, number, payload)


def reset(number=1, code=CANCEL):
    return frame(RST_STREAM, 0, number, struct.pack(">I", code))


def window(increment, number=0):
    return frame(WINDOW_UPDATE, 0, number, struct.pack(">I", increment))


def priority(number=1, depends_on=0, weight=15):
    return frame(PRIORITY, 0, number, struct.pack(">IB", depends_on, weight))


def settings(*pairs, flags=0, number=0):
    return frame(SETTINGS, flags, number, b"".join(struct.pack(">HI", *pair) for pair in pairs))


def block(payload, number=1):
    """A whole request of these bytes of HPACK."""
    return frame(HEADERS, END_HEADERS | END_STREAM, number, payload)


def halves(number=1, flags=END_STREAM):
    """A request in HEADERS and CONTINUATION."""
    whole = literals(GET)
    return (frame(HEADERS, flags, number, whole[:10]),
            frame(CONTINUATION, END_HEADERS, number, whole[10:]))


def in_parts(number=1):
    """A request in HEADERS and CONTINUATION of ten bytes each."""
    parts = [literals(GET)[i:i + 10] for i in range(0, len(literals(GET)), 10)]
    return (frame(HEADERS, END_STREAM, number, parts[0]) +
            b"".join(frame(CONTINUATION, 0, number, part) for part in parts[1:-1]) +
            frame(CONTINUATION, END_HEADERS, number, parts[-1]))


def after_its_end(what):
    """A stream that both sides have ended, then this."""
    def send(client):
        client.send(headers(1))
        client.wait_reply(1)
        client.send(what)
    return send


def after_our_reset(what):
    """A stream that we have reset while its body was coming, then this."""
    def send(client):
        client.send(headers(1, [*POST, ("connection", "close")], END_HEADERS))
        assert client.wait_reply(1).reset == PROTOCOL_ERROR
        client.reply(1).reset = None
        client.send(what)
    return send


CASES = []


def section(number, *rows):
    CASES.extend(pytest.param(send, expect, id=f"{number}: {text}") for text, send, expect in rows)


OPEN = opened()
# A request that has ended, whose answer waits for a window: half-closed (remote).
HELD = settings((INITIAL_WINDOW, 0)) + headers()
UNHOLD = settings((INITIAL_WINDOW, 65535))
CLOSED, PROTOCOL = connection_error(STREAM_CLOSED), connection_error(PROTOCOL_ERROR)
MALFORMED = stream_error(PROTOCOL_ERROR)
SIZE, COMPRESSION = connection_error(FRAME_SIZE_ERROR), connection_error(COMPRESSION_ERROR)

section(
    "9113-4.1",
    ("a frame of an unknown type", frame(0xfa, 0xff, 0, b"what") + headers(), answered(1)),
    ("one on a stream", headers() + frame(0xfa, 0, 1, b"what"), answered(1)),
    ("one on an idle stream", frame(0xfa, 0, 7, b"what") + headers(), answered(1)),
    ("an unknown flag", frame(PING, 0x16, 0, b"whatever") + headers(), answered(1)),
    ("the reserved bit of a stream", headers(1 | 1 << 31), answered(1)),
)
section(
    "9113-4.2",
    ("DATA of 2^14 bytes", opened() + data(b"x" * (1 << 14)), answered(1)),
    ("DATA of more", opened() + data(b"x" * ((1 << 14) + 1)), SIZE),
    ("HEADERS of more", frame(HEADERS, END_HEADERS, 1, b"\0" * ((1 << 14) + 1)), SIZE),
    ("an unknown frame of more", frame(0xfa, 0, 0, b"\0" * ((1 << 14) + 1)), SIZE),
    ("SETTINGS of more", settings(*[(0xff, 0)] * 2731), SIZE),
)
section(
    "9113-4.3",
    ("a broken block", block(b"\x40\x84"), COMPRESSION),
    ("a broken block of trailers", opened() + block(b"\x80"), COMPRESSION),
    ("PRIORITY within a block", halves()[0] + priority() + halves()[1], PROTOCOL),
    ("HEADERS of another stream within a block", halves()[0] + headers(3), PROTOCOL),
    ("DATA within a block", halves(flags=0)[0] + data(b"a"), PROTOCOL),
    ("SETTINGS within a block", halves()[0] + settings() + halves()[1], PROTOCOL),
    ("PING within a block", halves()[0] + frame(PING, 0, 0, b"12345678") + halves()[1], PROTOCOL),
    ("an unknown frame within a block", halves()[0] + frame(0xfa, 0, 1) + halves()[1], PROTOCOL),
)
section(
    "9113-5.1 idle",
    ("DATA", data(b"a"), PROTOCOL),
    ("RST_STREAM", reset(), PROTOCOL),
    ("WINDOW_UPDATE", window(1, 1), PROTOCOL),
    ("CONTINUATION", halves()[1], PROTOCOL),
    ("PRIORITY", priority() + headers(), answered(1)),
    ("PRIORITY, then a lower stream", priority(9) + headers(), answered(1)),
)
section(
    "9113-5.1 half-closed",
    ("DATA", HELD + data(b"a"), CLOSED),
    ("HEADERS", HELD + headers(), CLOSED),
    ("CONTINUATION", HELD + halves()[1], PROTOCOL),
    ("WINDOW_UPDATE", HELD + window(1000, 1) + UNHOLD, answered(1)),
    ("PRIORITY", HELD + priority() + UNHOLD, answered(1)),
    ("RST_STREAM", HELD + reset() + UNHOLD, ignored),
)
section(
    "9113-5.1 closed",
    ("DATA behind its end", after_its_end(data(b"a")), CLOSED),
    ("HEADERS behind its end", after_its_end(headers()), CLOSED),
    ("CONTINUATION behind its end", after_its_end(halves()[1]), PROTOCOL),
    ("WINDOW_UPDATE behind its end", after_its_end(window(9, 1)), ignored),
    ("RST_STREAM behind its end", after_its_end(reset()), ignored),
    ("PRIORITY behind its end", after_its_end(priority()), ignored),
    ("DATA behind RST_STREAM", OPEN + reset() + data(b"a"), CLOSED),
    ("HEADERS behind RST_STREAM", OPEN + reset() + headers(), CLOSED),
    ("CONTINUATION behind RST_STREAM", OPEN + reset() + halves()[1], PROTOCOL),
    ("WINDOW_UPDATE behind RST_STREAM", OPEN + reset() + window(9, 1), ignored),
    ("RST_STREAM behind RST_STREAM", OPEN + reset() + reset(), ignored),
    ("PRIORITY behind RST_STREAM", OPEN + reset() + priority(), ignored),
    ("DATA behind ours", after_our_reset(data(b"a")), ignored),
    ("HEADERS behind ours", after_our_reset(headers()), ignored),
    ("WINDOW_UPDATE behind ours", after_our_reset(window(9, 1)), ignored),
    ("RST_STREAM behind ours", after_our_reset(reset()), ignored),
)
section(
    "9113-5.1.1",
    ("an even stream", headers(2), PROTOCOL),
    ("a lower stream", headers(5) + headers(3), PROTOCOL),
    ("a stream passed by", headers(9), answered(9)),
)
section(
    "9113-5.3",
    ("HEADERS with a dependency",
     headers(flags=END_HEADERS | END_STREAM | WITH_PRIORITY, before=b"\0\0\0\0\xff"), answered(1)),
    ("HEADERS with an exclusive one on a stream that is not there",
     headers(flags=END_HEADERS | END_STREAM | WITH_PRIORITY, before=b"\x80\0\0\7\0"), answered(1)),
    ("PRIORITY_UPDATE (RFC 9218)",
     frame(0x10, 0, 0, b"\0\0\0\1u=1") + headers(1, [*GET, ("priority", "u=1, i")]), answered(1)),
)
section(
    "9113-6.1 DATA",
    ("on the connection", data(b"a", 0), PROTOCOL),
    ("padded", opened() + data(b"\5hello\0\0\0\0\0", flags=PADDED | END_STREAM), answered(1)),
    ("nothing but padding", opened() + data(b"\4\0\0\0\0", flags=PADDED | END_STREAM), answered(1)),
    ("padding beyond the frame", opened() + data(b"\6hello", flags=PADDED), PROTOCOL),
    ("padding as long as the frame", opened() + data(b"\5hello"[:5], flags=PADDED), PROTOCOL),
    ("padded without a length", opened() + data(b"", flags=PADDED), PROTOCOL),
)
section(
    "9113-6.2 HEADERS",
    ("on the connection", headers(0), PROTOCOL),
    ("padded", headers(flags=END_HEADERS | END_STREAM | PADDED, before=b"\3", behind=b"\0\0\0"),
     answered(1)),
    ("padding beyond the frame", headers(flags=END_HEADERS | PADDED, before=b"\xff"), PROTOCOL),
    ("padded without a length", frame(HEADERS, END_HEADERS | PADDED, 1), PROTOCOL),
    ("a priority cut short", frame(HEADERS, END_HEADERS | WITH_PRIORITY, 1, b"\0\0"), SIZE),
    ("empty", frame(HEADERS, END_HEADERS | END_STREAM, 1), MALFORMED),
)
section(
    "9113-6.3 PRIORITY",
    ("on the connection", priority(0), PROTOCOL),
    ("cut short", OPEN + frame(PRIORITY, 0, 1, b"\0\0\0\0"), SIZE),
)
section(
    "9113-6.4 RST_STREAM",
    ("on the connection", reset(0), PROTOCOL),
    ("cut short", OPEN + frame(RST_STREAM, 0, 1, b"\0\0\0"), SIZE),
    ("too long", OPEN + frame(RST_STREAM, 0, 1, b"\0\0\0\0\0"), SIZE),
    ("an unknown code", OPEN + reset(1, 0xabcdef), ignored),
)
section(
    "9113-6.5 SETTINGS",
    ("ACK with a payload", settings((MAX_STREAMS, 1), flags=ACK), SIZE),
    ("on a stream", settings(number=1), PROTOCOL),
    ("no multiple of six bytes", frame(SETTINGS, 0, 0, b"\0\3\0"), SIZE),
    ("ENABLE_PUSH of 2", settings((ENABLE_PUSH, 2)), PROTOCOL),
    ("ENABLE_PUSH of 1", settings((ENABLE_PUSH, 1)), ignored),
    ("a window beyond the largest", settings((INITIAL_WINDOW, 1 << 31)),
     connection_error(FLOW_CONTROL_ERROR)),
    ("the largest window", settings((INITIAL_WINDOW, LARGEST_WINDOW)), ignored),
    ("frames too small", settings((MAX_FRAME, (1 << 14) - 1)), PROTOCOL),
    ("frames too large", settings((MAX_FRAME, 1 << 24)), PROTOCOL),
    ("the largest frames", settings((MAX_FRAME, (1 << 24) - 1)), ignored),
    ("an unknown one", settings((0xfa, 0xffffffff)), ignored),
    ("no table", settings((HEADER_TABLE_SIZE, 0)), ignored),
    ("the largest table", settings((HEADER_TABLE_SIZE, 0xffffffff)), ignored),
    ("no room for fields", settings((MAX_LIST, 0)), ignored),
    ("no streams of ours", settings((MAX_STREAMS, 0)), ignored),
    ("the last of several counts", settings((INITIAL_WINDOW, 0), (INITIAL_WINDOW, 100)) + headers(),
     answered(1)),
    ("an ACK for nothing", settings(flags=ACK) * 2, PROTOCOL),
)
section(
    "9113-6.6 PUSH_PROMISE",
    ("from a client", OPEN + frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2" + literals(GET)),
     PROTOCOL),
    ("on the connection", frame(PUSH_PROMISE, END_HEADERS, 0, b"\0\0\0\2"), PROTOCOL),
)
section(
    "9113-6.7 PING",
    ("an answer nobody asked for", frame(PING, ACK, 0, b"12345678"), ignored),
    ("on a stream", frame(PING, 0, 1, b"12345678"), PROTOCOL),
    ("cut short", frame(PING, 0, 0, b"123456"), SIZE),
)
section(
    "9113-6.8 GOAWAY",
    ("on a stream", frame(GOAWAY, 0, 1, bytes(8)), PROTOCOL),
    ("cut short", frame(GOAWAY, 0, 0, bytes(7)), SIZE),
)
section(
    "9113-6.9 WINDOW_UPDATE",
    ("of nothing", window(0), PROTOCOL),
    ("of nothing, on a stream", OPEN + window(0, 1), PROTOCOL),
    ("cut short", frame(WINDOW_UPDATE, 0, 0, b"\0\0\1"), SIZE),
    ("cut short, on a stream", OPEN + frame(WINDOW_UPDATE, 0, 1, b"\0\0\1"), SIZE),
    ("the reserved bit", window(1 << 31 | 100), ignored),
)
section(
    "9113-6.9.1",
    ("a window beyond the largest", window(LARGEST_WINDOW), connection_error(FLOW_CONTROL_ERROR)),
    ("up to the largest", window(LARGEST_WINDOW - 65535), ignored),
    ("a stream's beyond the largest", OPEN + window(LARGEST_WINDOW, 1),
     stream_error(FLOW_CONTROL_ERROR)),
    ("a stream's up to the largest", OPEN + window(LARGEST_WINDOW - 65535, 1) + data(),
     answered(1)),
    # Section 6.9.2 wants an error of the connection; nghttp2 resets the streams that it concerns.
    ("a stream's beyond the largest, by SETTINGS",
     OPEN + window(LARGEST_WINDOW - 65535, 1) + settings((INITIAL_WINDOW, 65536)),
     stream_error(FLOW_CONTROL_ERROR)),
)
section(
    "9113-6.10 CONTINUATION",
    ("behind HEADERS", b"".join(halves()), answered(1)),
    ("in many parts", in_parts(), answered(1)),
    ("empty ones", halves()[0] + frame(CONTINUATION, 0, 1) * 3 + halves()[1], answered(1)),
    ("on the connection", halves()[0] + frame(CONTINUATION, END_HEADERS, 0), PROTOCOL),
    ("on another stream", OPEN + halves(3)[0] + halves(1)[1], PROTOCOL),
    ("behind a whole block", headers(flags=END_HEADERS) + halves()[1], PROTOCOL),
    ("behind the last one", halves()[0] + halves()[1] * 2, PROTOCOL),
    ("behind DATA", OPEN + data(b"a", flags=0) + halves()[1], PROTOCOL),
)
section(
    "9113-7",
    ("GOAWAY with an unknown code", frame(GOAWAY, 0, 0, b"\0\0\0\0\0\0\0\xff"),
     lambda client: client.wait_closed()),
)
section(
    "9113-8.1",
    ("trailers without the end", OPEN + data(b"a", flags=0) + headers(fields=[("x-a", "b")],
                                                                     flags=END_HEADERS),
     MALFORMED),
    ("trailers", OPEN + data(b"a", flags=0) + headers(fields=[("x-a", "b")]), answered(1)),
    ("trailers without a body", OPEN + headers(fields=[("x-a", "b")]), answered(1)),
    ("empty trailers", OPEN + data(b"a", flags=0) + block(b""), answered(1)),
    ("DATA behind trailers", opened() + settings((INITIAL_WINDOW, 0)) +
     headers(fields=[("x-a", "b")]) + data(b"a"), CLOSED),
)
MALFORMED_FIELDS = {
    "8.2.1": {"upper case": [("X-A", "b")], "a space in a name": [("x a", "b")],
              "a colon in a name": [("x:a", "b")], "an empty name": [("", "b")],
              "a letter beyond ASCII in a name": [("x-\xe4", "b")],
              "an end of line": [("x-a", "b\r\nc: d")], "a zero": [("x-a", "b\0c")],
              "a space before a value": [("x-a", " b")],
              "a tab behind a value": [("x-a", "b\t")]},
    "8.2.2": {name: [(name, value)] for name, value in (
        ("connection", "x-a"), ("keep-alive", "1"), ("proxy-connection", "close"),
        ("transfer-encoding", "chunked"), ("upgrade", "websocket"), ("te", "gzip"),
        ("te", "trailers, gzip"))},
    "8.3": {"an unknown pseudo-field": [(":other", "x")], "one of responses": [(":status", "200")],
            "one behind a field": [("x-a", "b"), (":path", "/")],
            "one twice": [(":method", "GET")], "a second path": [(":path", "/")],
            "a second scheme": [(":scheme", "http")], "a second authority": [(":authority", "b")]},
    "8.3.1": {"another host": [("host", "b.example")], "two hosts": [("host", "a.example")] * 2},
    "8.1.1": {"a length that is none": [("content-length", "+1")],
              "a negative length": [("content-length", "-1")],
              "a length without a number": [("content-length", "")],
              "lengths that differ": [("content-length", "0"), ("content-length", "1")],
              "a length beyond all": [("content-length", "99999999999999999999")],
              "a length without a body": [("content-length", "1")]},
}
for number, malformed in MALFORMED_FIELDS.items():
    section("9113-" + number, *(
        (text, headers(fields=GET + fields), MALFORMED)
        for text, fields in malformed.items()))


def changed(name, value):
    """GET with another value for a pseudo-field; None: without it."""
    return [(n, v if n != name else value) for n, v in GET if n != name or value is not None]


section("9113-8.3.1", *(
    (f"{name} {value!r}", headers(fields=changed(name, value)), MALFORMED)
    for name, value in (
        (":method", None), (":scheme", None), (":path", None), (":authority", None),
        (":method", ""), (":scheme", ""), (":path", ""), (":authority", ""),
        (":path", "a"), (":path", "*"), (":path", "/a b"), (":path", "http://a.example/"),
        (":method", "GET "), (":method", "G(T"), (":authority", "a example"),
        (":authority", "a.example/x"))))
section(
    "9113-8.3.1",
    ("a user in :authority", headers(fields=changed(":authority", "me@a.example")),
     answered(1, status=400)),
    ("OPTIONS *", headers(fields=[(":method", "OPTIONS"), *GET[1:3], (":path", "*")]), answered(1)),
    ("host for :authority", headers(fields=[*changed(":authority", None), ("host", "a.example")]),
     answered(1)),
    ("host as :authority", headers(fields=[*GET, ("host", "a.example")]), answered(1)),
)
OF_LENGTH_3 = opened(fields=[*POST, ("content-length", "3")])
section(
    "9113-8.1.1",
    ("a body beyond its length", OF_LENGTH_3 + data(b"abcd"), MALFORMED),
    ("a body short of its length", OF_LENGTH_3 + data(b"ab"), MALFORMED),
    ("one in parts", OF_LENGTH_3 + data(b"a", flags=0) + data(b"b"), MALFORMED),
    ("trailers before all of it",
     OF_LENGTH_3 + data(b"a", flags=0) + headers(fields=[("x-a", "b")]), MALFORMED),
    ("no body at all", OF_LENGTH_3 + data(), MALFORMED),
    ("a length that holds", OF_LENGTH_3 + data(b"abc"), answered(1)),
    ("one with trailers", OF_LENGTH_3 + data(b"abc", flags=0) + headers(fields=[("x-a", "b")]),
     answered(1)),
    ("a length that is said twice",
     opened(fields=[*POST, *[("content-length", "3")] * 2]) + data(b"abc"), MALFORMED),
)
section("9113-8.1", *(
    (f"trailers with {text}", OPEN + data(b"a", flags=0) + headers(fields=fields),
     MALFORMED)
    for text, fields in (
        ("a pseudo-field", [(":path", "/")]), (":method", [(":method", "GET")]),
        ("upper case", [("X-A", "b")]), ("an end of line", [("x-a", "b\r\nc: d")]),
        ("connection", [("connection", "x-a")]),
        ("transfer-encoding", [("transfer-encoding", "chunked")]))))
section(
    "9113-8.5 CONNECT",
    ("is not spoken", headers(fields=CONNECT), answered(1, status=405)),
    ("with a path", headers(fields=[*CONNECT, (":path", "/")]), MALFORMED),
    ("with a scheme", headers(fields=[*CONNECT, (":scheme", "http")]), MALFORMED),
    ("without an authority", headers(fields=CONNECT[:1]), MALFORMED),
)
WEBSOCKET = [(":method", "CONNECT"), (":protocol", "websocket"), *GET[1:]]
section(
    "8441-4",
    (":protocol without CONNECT", headers(fields=[*GET, (":protocol", "websocket")]),
     MALFORMED),
    ("an unknown :protocol", headers(fields=[WEBSOCKET[0], (":protocol", "what"), *GET[1:]]),
     answered(1, status=501)),
    ("an empty :protocol", headers(fields=[WEBSOCKET[0], (":protocol", ""), *GET[1:]]),
     MALFORMED),
    ("without a path", headers(fields=WEBSOCKET[:-1]), MALFORMED),
    ("without a scheme", headers(fields=[*WEBSOCKET[:2], *WEBSOCKET[3:]]),
     MALFORMED),
    ("without an authority", headers(fields=[*WEBSOCKET[:3], WEBSOCKET[4]]),
     MALFORMED),
)

# ---- HPACK ----

NAMED = b"\x40\x03x-a\x01b"  # x-a: b, kept as the newest entry of the dynamic table: index 62
REFUSED = literals([("connection", "x-a")])
section(
    "7541-2.3.3",
    ("an index beyond the tables", block(PACKED + b"\xc6"), COMPRESSION),
    ("the name of an index beyond the tables", block(PACKED + b"\x0f\x70\1a"), COMPRESSION),
    ("the first index of an empty dynamic table", block(PACKED + b"\xbe"), COMPRESSION),
    ("an entry of the dynamic table", block(PACKED + NAMED + b"\xbe"), answered(1)),
    ("one of another stream", block(PACKED + NAMED) + block(PACKED + b"\xbe", 3), answered(1, 3)),
    ("one of a request that was refused",
     block(PACKED + NAMED + REFUSED) + block(PACKED + b"\xbe", 3), answered(3)),
    ("one behind what was refused",
     block(PACKED + REFUSED + NAMED) + block(PACKED + b"\xbe", 3), answered(3)),
)
section(
    "7541-4.2",
    ("a change at the end", block(PACKED + b"\x20"), COMPRESSION),
    ("a change between fields", block(PACKED[:1] + b"\x20" + PACKED[1:]), COMPRESSION),
    ("a change at the beginning", block(b"\x20" + PACKED), answered(1)),
    ("two changes", block(b"\x20\x3f\xe1\x1f" + PACKED), answered(1)),
)
section(
    "7541-4.3",
    ("a change evicts", block(PACKED + NAMED) + block(b"\x20\x3f\xe1\x1f" + PACKED + b"\xbe", 3),
     COMPRESSION),
)
section(
    "7541-4.4",
    ("an entry larger than the table empties it",
     block(b"\x3f\x09" + PACKED + NAMED + literals([])) + block(PACKED + b"\x40\x04x-bb\x7f\x01" +
                                                              b"c" * 128 + b"\xbe", 3),
     COMPRESSION),
)
section(
    "7541-5.1",
    ("an index that overflows", block(b"\xff" + b"\xff" * 10 + b"\x01"), COMPRESSION),
    ("a length that overflows", block(PACKED + b"\0\x7f" + b"\xff" * 10 + b"\x01"), COMPRESSION),
    ("a length beyond 2^32", block(PACKED + b"\0\x7f\x80\x80\x80\x80\x10a"), COMPRESSION),
    ("a number in more bytes than it needs", block(PACKED + b"\0\3x-a\x7f\x80\x80\0" + b"b" * 127),
     answered(1)),
    ("a number that does not end", block(b"\xff\x80"), COMPRESSION),
)
section(
    "7541-5.2",
    ("a string beyond the block", block(PACKED + b"\0\3x-a\x05b"), COMPRESSION),
    ("padding of 8 bits", block(PACKED + b"\0\3x-a\x82\x1f\xff"), COMPRESSION),
    ("padding of zeros", block(PACKED + b"\0\3x-a\x81\x18"), COMPRESSION),
    ("the end symbol", block(PACKED + b"\0\3x-a\x84\xff\xff\xff\xff"), COMPRESSION),
    ("right padding", block(PACKED + b"\0\3x-a\x81\x1f"), answered(1)),
    ("an empty string", block(PACKED + b"\0\3x-a\x80"), answered(1)),
)
section(
    "7541-6.1",
    ("index 0", block(PACKED + b"\x80"), COMPRESSION),
)
section("7541-6.2", *(
    (f"{how} {name} {'with' if is_packed else 'without'} Huffman",
     block(PACKED + first + (b"" if name == "indexed" else b"\3x-a") +
           (b"\x81\x1f" if is_packed else b"\1a")), answered(1))
    for how, indexed, new in (
        ("indexing", b"\x7a", b"\x40"), ("without indexing", b"\x0f\x2b", b"\0"),
        ("never indexed", b"\x1f\x2b", b"\x10"))
    for name, first in (("indexed", indexed), ("new", new)) for is_packed in (False, True)))
section(
    "7541-6.3",
    ("a table larger than allowed", block(b"\x3f\xe2\x1f" + PACKED), COMPRESSION),
    ("a table as large as allowed", block(b"\x3f\xe1\x1f" + PACKED), answered(1)),
)


@pytest.mark.parametrize("send, expect", CASES)
def test_a_case_of_the_standards(client, send, expect):
    if callable(send):
        send(client)
    else:
        client.send(send)
    expect(client)


# ---- the preface ----

@pytest.mark.parametrize("sent", (
    pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r", id="9113-3.4: a wrong preface"),
    pytest.param(PREFACE + headers(), id="9113-3.4: HEADERS before SETTINGS"),
    pytest.param(PREFACE + settings(flags=ACK), id="9113-3.4: an ACK before SETTINGS"),
))
def test_a_connection_begins_with_the_preface_and_settings(shared, sent):
    with H2Client(shared.port, preface=None) as client:
        client.send(sent)
        connection_error(PROTOCOL_ERROR)(client)


def test_settings_come_first_and_are_acknowledged(client):
    client.ping()
    names = [type(f).__name__ for f in client.frames]
    assert names[0] == "SettingsFrame" and "ACK" not in client.frames[0].flags
    assert [set(f.flags) for f in client.frames].count({"ACK"}) == 2  # of SETTINGS, of PING
