"""What HTTP/2 lets a peer do at our cost: bounded, counted, ended with ENHANCE_YOUR_CALM."""
import hpack
import pytest
from hyperframe.frame import (ContinuationFrame, DataFrame, HeadersFrame, PriorityFrame,
                              RstStreamFrame, SettingsFrame)

from h2_client import (CANCEL, ENHANCE_YOUR_CALM, H2Client, NO_ERROR, PROTOCOL_ERROR,
                       SETTINGS_TIMEOUT, frame, literals)
from quoit_process import static_pool
from waiting import wait_until


@pytest.fixture
def h2(quoit, origins):
    """h2(client=…) starts a balancer for HTTP/2 before one origin."""
    def start(**client):
        [origin] = origins(1)
        balancer = quoit({"listener": {"http2": "on"}, "workers": 1, "client": client,
                          "pools": {"web": static_pool([origin])}})
        balancer.origin = origin
        return balancer
    return start


def cut_for(balancer, reason):
    return balancer.metrics().sum("quoit_client_connections_refused_total", reason=reason)


def expect_cut(client, balancer, reason):
    client.wait_goaway(ENHANCE_YOUR_CALM)
    client.wait_closed()
    assert cut_for(balancer, reason) == 1
    with H2Client(balancer.port) as other:
        assert other.get().status == 200


def send_in_parts(client, parts, per_write=50):
    """Reads in between, so that nothing of what is answered is lost; stops when it is cut off."""
    for i in range(0, len(parts), per_write):
        client.send(b"".join(parts[i:i + per_write]))
        while client.fill(0.001):
            pass
        if client.closed or client.goaways:
            return


def test_rapid_resets_are_cut_off(h2):
    """CVE-2023-44487."""
    balancer = h2()
    with H2Client(balancer.port) as client:
        parts = []
        for s in range(1, 4001, 2):
            parts += [client.headers(s, client.pseudo(path="/?delay=1")),
                      RstStreamFrame(s, error_code=CANCEL).serialize()]
        send_in_parts(client, parts)
        expect_cut(client, balancer, "http2_resets")
    assert len(balancer.origin.requests) <= 600


@pytest.mark.parametrize("provoke", (
    lambda client, s: frame(8, 0, s, b"\0\0\0\0"),                # a window opened by nothing
    lambda client, s: frame(8, 0, s, b"\x7f\xff\xff\xff"),        # opened beyond its largest
    lambda client, s: frame(2, 0, s, b"\0\0\0\0"),                # PRIORITY of a wrong size
), ids=("nothing", "overflow", "priority"))
def test_resets_that_the_peer_makes_us_send_are_cut_off(h2, provoke):
    """MadeYouReset, CVE-2025-8671."""
    balancer = h2()
    with H2Client(balancer.port) as client:
        parts = []
        for s in range(1, 4001, 2):
            parts += [client.headers(s, client.pseudo(path="/?delay=1"), end=False),
                      provoke(client, s)]
        send_in_parts(client, parts)
        client.read_until(lambda: client.goaways)
        client.wait_closed()
    assert cut_for(balancer, "http2_resets") + cut_for(balancer, "http2_error") == 1
    assert len(balancer.origin.requests) <= 600


def test_malformed_requests_without_end_are_cut_off(h2):
    balancer = h2()
    with H2Client(balancer.port) as client:
        send_in_parts(client, [client.headers(s, [*client.pseudo(), ("connection", "close")])
                               for s in range(1, 4001, 2)])
        expect_cut(client, balancer, "http2_resets")


def test_cancelling_a_page_is_not_an_attack(h2):
    balancer = h2(http2_max_streams=200)
    with H2Client(balancer.port) as client:
        for s in range(1, 301, 2):
            client.request(s, "/?delay=0.2")
        for s in range(1, 301, 2):
            client.reset(s)
        assert client.get(301).status == 200


def test_continuation_without_end_is_cut_off(h2):
    """CVE-2024-28182 and its kin."""
    balancer = h2()
    with H2Client(balancer.port) as client:
        client.ping()
        block = hpack.Encoder().encode(client.pseudo())
        parts = [HeadersFrame(1, block, flags=["END_STREAM"]).serialize()]
        parts += [ContinuationFrame(1, b"\x40\x03x-a" + b"\x01b").serialize()] * 20000
        send_in_parts(client, parts, 5)
        expect_cut(client, balancer, "http2_headers")


def test_a_head_that_unpacks_to_megabytes_is_cut_off(h2):
    """RFC 7541 section 7.3: one long entry of the table, named again and again."""
    balancer = h2()
    with H2Client(balancer.port) as client:
        long_field = hpack.Encoder().encode([("x-long", "a" * 3900)])
        block = hpack.Encoder().encode(client.pseudo()) + long_field + b"\xbe" * 12000
        client.send_frames(HeadersFrame(1, block, flags=["END_STREAM", "END_HEADERS"]))
        expect_cut(client, balancer, "http2_headers")


@pytest.mark.parametrize("bytes_of", (
    lambda: DataFrame(1, b"").serialize(),
    lambda: frame(0, 8, 1, b"\x05" + b"\0" * 5),  # nothing but padding
), ids=("empty", "padding"))
def test_data_that_brings_nothing_is_cut_off(h2, bytes_of):
    balancer = h2()
    with H2Client(balancer.port) as client:
        client.request(1, method="POST", end=False)
        send_in_parts(client, [bytes_of()] * 5000)
        expect_cut(client, balancer, "http2_flood")


@pytest.mark.parametrize("bytes_of", (
    lambda: SettingsFrame(0, settings={}).serialize(),
    lambda: frame(6, payload=b"12345678"),
    lambda: PriorityFrame(1, depends_on=0, stream_weight=1).serialize(),
    lambda: frame(8, 0, 0, b"\0\0\0\1"),
), ids=("settings", "ping", "priority", "window"))
def test_floods_of_control_frames_are_cut_off(h2, bytes_of):
    balancer = h2()
    with H2Client(balancer.port) as client:
        send_in_parts(client, [bytes_of()] * 10000)
        expect_cut(client, balancer, "http2_flood")


def test_what_a_connection_that_is_cut_off_had_asked_for_is_logged_as_that(h2):
    balancer = h2()
    with H2Client(balancer.port) as client:
        client.request(1, "/slow?delay=30")
        wait_until(lambda: balancer.metrics().sum("quoit_endpoint_requests_in_flight") == 1)
        send_in_parts(client, [frame(6, payload=b"12345678")] * 10000)
        client.wait_closed()
    [line] = balancer.wait_access(1)
    assert line["target"] == "/slow?delay=30" and line["reason"] == "http2_flood"


def test_pings_whose_answers_nobody_reads_are_cut_off(h2):
    balancer = h2()
    with H2Client(balancer.port, receive_buffer=4096) as client:
        client.send(frame(6, payload=b"12345678") * 20000)
        client.wait_closed()
    wait_until(lambda: cut_for(balancer, "http2_flood") == 1)


def test_settings_that_are_not_acknowledged_end_the_connection(h2):
    balancer = h2(header_timeout="1s")
    with H2Client(balancer.port) as client:
        client.acks_settings = False
        client.wait_goaway(SETTINGS_TIMEOUT)
        client.wait_closed()


def test_a_head_that_never_ends_is_cut_off(h2):
    balancer = h2(header_timeout="1s")
    with H2Client(balancer.port) as client:
        client.ping()
        block = hpack.Encoder().encode(client.pseudo())
        client.send_frames(HeadersFrame(1, block, flags=["END_STREAM"]))
        client.wait_goaway(ENHANCE_YOUR_CALM)
        client.wait_closed()


def test_a_preface_that_never_ends_is_closed(h2):
    balancer = h2(header_timeout="1s")
    with H2Client(balancer.port, preface=None) as client:
        client.send(b"PRI * HTTP/2.0\r\n")
        client.wait_closed()


def test_a_body_that_does_not_come_ends_its_stream_only(h2):
    balancer = h2(body_timeout="1s")
    with H2Client(balancer.port) as client:
        client.request(1, method="POST", end=False)
        assert client.wait_reply(1).status == 408
        assert client.get(3).status == 200


def test_a_connection_that_takes_nothing_is_closed(h2):
    balancer = h2(send_timeout="1s")
    with H2Client(balancer.port, settings={4: (1 << 31) - 1}, receive_buffer=4096) as client:
        client.window(0, (1 << 31) - 1 - 65535)
        client.request(1, "/?bytes=30000000")
        wait_until(lambda: balancer.access(), 15)
    [line] = balancer.access()
    assert line["reason"] in ("client_slow", "client_gone")


def test_answers_behind_shut_windows_use_bounded_memory(h2):
    balancer = h2(send_timeout="60s")
    with H2Client(balancer.port, settings={4: 0}) as client:
        for s in range(1, 201, 2):
            client.request(s, "/?bytes=600000")
        client.read_until(lambda: sum(bool(r.heads) for r in client.replies.values()) == 100,
                          30)
        client.ping()
        used = balancer.metrics().sum("quoit_buffer_bytes")
    assert used < 100 * (65536 + 262144 + 4 * 16384) + (1 << 20)


def test_a_wrong_preface_is_told(h2):
    balancer = h2()
    with H2Client(balancer.port, preface=None) as client:
        client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"GET / HTTP/1.1\r\n\r\n" * 5)
        client.read_until(lambda: client.goaways)
        client.wait_closed()
        assert client.goaways[-1][1] not in (NO_ERROR,)


# ---- requests that are not one (RFC 9113 sections 8.2 and 8.3) ----

GOOD = [(":method", "GET"), (":scheme", "http"), (":authority", "a.example"), (":path", "/")]


def without(name):
    return [pair for pair in GOOD if pair[0] != name]


def with_value(name, value):
    return [(n, value if n == name else v) for n, v in GOOD]


MALFORMED = {
    "upper case": GOOD + [("X-A", "b")],
    "no method": without(":method"),
    "no scheme": without(":scheme"),
    "no path": without(":path"),
    "empty path": with_value(":path", ""),
    "relative path": with_value(":path", "a"),
    "path with a space": with_value(":path", "/a b"),
    "path with an end of line": with_value(":path", "/ HTTP/1.1\r\nX: y"),
    "method with a space": with_value(":method", "GET /x"),
    "two methods": GOOD + [(":method", "GET")],
    "two paths": [GOOD[3]] + GOOD,
    "unknown pseudo-field": GOOD + [(":other", "x")],
    "response pseudo-field": GOOD + [(":status", "200")],
    "pseudo-field behind a field": [("x-a", "b")] + GOOD,
    "connection": GOOD + [("connection", "close")],
    "keep-alive": GOOD + [("keep-alive", "1")],
    "proxy-connection": GOOD + [("proxy-connection", "close")],
    "transfer-encoding": GOOD + [("transfer-encoding", "chunked")],
    "upgrade": GOOD + [("upgrade", "h2c")],
    "te": GOOD + [("te", "gzip")],
    "another host": GOOD + [("host", "b.example")],
    "two hosts": GOOD + [("host", "a.example"), ("host", "a.example")],
    "line feed in a value": GOOD + [("x-a", "b\nc: d")],
    "carriage return in a value": GOOD + [("x-a", "b\rc")],
    "zero in a value": GOOD + [("x-a", "b\0c")],
    "space before a value": GOOD + [("x-a", " b")],
    "space behind a value": GOOD + [("x-a", "b ")],
    "colon in a name": GOOD + [("x:a", "b")],
    "space in a name": GOOD + [("x a", "b")],
    "empty name": GOOD + [("", "b")],
    "length that is none": GOOD + [("content-length", "a")],
    "length of a body that does not come": GOOD + [("content-length", "5")],
    "two lengths": GOOD + [("content-length", "0"), ("content-length", "1")],
    "protocol without CONNECT": GOOD + [(":protocol", "websocket")],
    "CONNECT with a path": [(":method", "CONNECT"), (":authority", "a"), (":path", "/")],
}


@pytest.fixture
def shared(h2):
    return h2()


def test_malformed_requests_are_reset_and_go_nowhere(shared):
    for name, fields in MALFORMED.items():
        with H2Client(shared.port) as client:
            client.send_frames(HeadersFrame(1, literals(fields),
                                            flags=["END_STREAM", "END_HEADERS"]))
            client.read_until(lambda: client.reply(1).reset is not None or client.goaways or
                              client.closed, what=name)
            codes = {client.reply(1).reset, *(code for _, code in client.goaways)} - {None}
            assert codes == {PROTOCOL_ERROR}, (name, codes)
    assert not shared.origin.requests


def test_a_malformed_request_leaves_the_connection_its_time(h2):
    balancer = h2(header_timeout="1s")
    with H2Client(balancer.port) as client:
        client.ping()
        client.request(1, "/?delay=2.5")
        for s, fields in ((3, GOOD + [("x-a", "b\nc")]), (5, GOOD + [("connection", "x")]),
                          (7, without(":path"))):
            client.send_frames(HeadersFrame(s, literals(fields),
                                            flags=["END_STREAM", "END_HEADERS"]))
            assert client.wait_reply(s).reset == PROTOCOL_ERROR
        assert client.wait_reply(1).status == 200
        assert not client.goaways


def test_malformed_trailers_reset_the_stream(shared):
    for fields in ([(":path", "/")], [("x-a", "b\r\nc")], [("connection", "x")]):
        with H2Client(shared.port) as client:
            client.request(1, method="POST", end=False)
            client.data(1, b"abc")
            client.send_frames(HeadersFrame(1, literals(fields),
                                            flags=["END_STREAM", "END_HEADERS"]))
            assert client.wait_reply(1).reset == PROTOCOL_ERROR
    shared.wait_access(3)


def test_a_host_that_agrees_is_one_host(shared):
    with H2Client(shared.port) as client:
        assert client.get(1, fields=[("host", "A.example")], authority="a.example").status == 200
        client.send(client.headers(3, without(":authority") + [("host", "b.example")]))
        assert client.wait_reply(3).status == 200
        client.send(client.headers(5, without(":authority")))
        assert client.wait_reply(5).reset == PROTOCOL_ERROR
    assert [r.values("host") for r in shared.origin.requests] == [["a.example"], ["b.example"]]
