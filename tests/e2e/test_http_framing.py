"""Where messages end: every byte the origin and the client get, in both directions."""
import re
import threading

import pytest

from http_client import RawClient, raw
from memory import Memory
from scripted import lines_of, reply, values_of
from waiting import wait_until

ADDED = [b"Host: a.example", b"Via: 1.1 quoit", b"X-Forwarded-For: 127.0.0.1",
         b"X-Forwarded-Host: a.example", b"X-Forwarded-Proto: http"]


# What differs from one request or listener to the next.
VARYING = [re.compile(rb"X-Request-Id: [0-9a-f]{32}"), re.compile(rb"X-Forwarded-Port: [0-9]+")]


def request_lines(head):
    """lines_of() without the lines that vary, of which there is one each."""
    first, fields = lines_of(head)
    varying = [[line for line in fields if pattern.fullmatch(line)] for pattern in VARYING]
    assert [len(lines) for lines in varying] == [1, 1], fields
    return first, [line for line in fields if [line] not in varying]


def request(line, *fields, body=b""):
    return b"\r\n".join([line, b"Host: a.example", *fields, b"", body])


def answering(*answers):
    """A script: reads a head, sends an answer, and so on; then waits for the end."""
    def script(connection):
        for answer in answers:
            connection.read_head()
            connection.send(answer)
        connection.read_to_end()
    return script


def exchange(port, data, n_heads=1):
    """Sends data and returns the response heads and the body of the last one by its length."""
    with RawClient(port) as client:
        client.send(data)
        heads = [client.read_until(b"\r\n\r\n") for _ in range(n_heads)]
        [length] = values_of(heads[-1], b"content-length")
        return heads, client.read_exactly(int(length))


# --- requests -------------------------------------------------------------------------------------


def test_a_request_arrives_with_exactly_these_lines(scripted):
    port, origin = scripted(answering(reply()))
    exchange(port, request(b"GET /a/../b//c?x=%41&y HTTP/1.1", b"Accept:*/*", b"X-Empty:",
                           b"X-Spaces: \t a  b \t", b"X-Obs: \xc3\xa4\xff"))
    first, fields = request_lines(origin.received)
    assert first == b"GET /a/../b//c?x=%41&y HTTP/1.1"
    assert fields == sorted(ADDED + [b"Accept: */*", b"X-Empty: ", b"X-Spaces: a  b",
                                     b"X-Obs: \xc3\xa4\xff"])


def test_an_http_1_0_request_arrives_as_http_1_1(scripted):
    port, origin = scripted(answering(reply()))
    answer = raw(port, b"GET / HTTP/1.0\r\nHost: a.example\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and answer.endswith(b"\r\n\r\nok")
    first, fields = request_lines(origin.received)
    assert first == b"GET / HTTP/1.1"
    assert fields == sorted([b"Via: 1.0 quoit", *(f for f in ADDED if f != b"Via: 1.1 quoit")])


@pytest.mark.parametrize("target, expected", [
    (b"http://b.example:81/p?q", b"/p?q"), (b"HTTPS://b.example:81", b"/"),
    (b"http://b.example:81?q", b"/?q"),
])
def test_an_absolute_target_becomes_origin_form_and_wins_over_host(scripted, target, expected):
    port, origin = scripted(answering(reply()))
    exchange(port, request(b"GET " + target + b" HTTP/1.1"))
    assert origin.received.startswith(b"GET " + expected + b" HTTP/1.1\r\n")
    assert values_of(origin.received, b"host") == [b"b.example:81"]
    assert values_of(origin.received, b"x-forwarded-host") == [b"b.example:81"]


def test_options_of_the_whole_server_keeps_its_asterisk(scripted):
    port, origin = scripted(answering(reply(), reply()))
    exchange(port, request(b"OPTIONS * HTTP/1.1"))
    exchange(port, request(b"OPTIONS http://a.example HTTP/1.1"))
    heads = origin.received.split(b"\r\n\r\n")
    assert [head.split(b"\r\n")[0] for head in heads[:2]] == [b"OPTIONS * HTTP/1.1"] * 2


def with_body(n):
    def script(connection):
        connection.read_head()
        connection.read_exactly(n)
        connection.send(reply())
        connection.read_to_end()
    return script


@pytest.mark.parametrize("method", [b"POST", b"GET", b"DELETE", b"FROBNICATE"])
def test_a_body_with_a_length_arrives_byte_by_byte(scripted, method):
    body = b"0\r\n\r\nGET /x HTTP/1.1\r\n\r\n\0"
    port, origin = scripted(with_body(len(body)))
    exchange(port, request(method + b" / HTTP/1.1", b"Content-Length: %d" % len(body), body=body))
    head, rest = origin.received.split(b"\r\n\r\n", 1)
    assert request_lines(head + b"\r\n\r\n")[1] == sorted(ADDED + [b"Content-Length: %d" % len(body)])
    assert rest == body


def test_a_body_of_no_bytes_keeps_its_length(scripted):
    port, origin = scripted(with_body(0))
    exchange(port, request(b"POST / HTTP/1.1", b"Content-Length: 0"))
    assert values_of(origin.received, b"content-length") == [b"0"]
    assert origin.received.endswith(b"\r\n\r\n")


def dechunk(data):
    """(payload, trailer lines) of a chunked body, strictly."""
    payload = b""
    while True:
        size, data = data.split(b"\r\n", 1)
        if int(size, 16) == 0:
            assert data.endswith(b"\r\n")
            return payload, data[:-2]
        payload += data[:int(size, 16)]
        assert data[int(size, 16):][:2] == b"\r\n"
        data = data[int(size, 16) + 2:]


def chunked_script(connection):
    connection.read_head()
    connection.read_until(b"0\r\n")
    connection.read_until(b"\r\n")
    while not connection.received.endswith(b"\r\n\r\n"):
        connection.read_until(b"\r\n")
    connection.send(reply())
    connection.read_to_end()


def test_a_chunked_body_arrives_without_extensions_and_with_trailers(scripted):
    port, origin = scripted(chunked_script)
    exchange(port, request(
        b"POST / HTTP/1.1", b"Transfer-Encoding: Chunked", b"Trailer: X-Sum", b"TE: trailers",
        body=b"0005;a=\"b;c\"\r\nhello\r\n1 ; x\r\n!\r\n00;last\r\nX-Sum: 7\r\n\r\n"))
    head, body = origin.received.split(b"\r\n\r\n", 1)
    assert request_lines(head + b"\r\n\r\n")[1] == sorted(ADDED + [
        b"Transfer-Encoding: chunked", b"Trailer: X-Sum", b"TE: trailers", b"Connection: TE"])
    assert dechunk(body) == (b"hello!", b"X-Sum: 7\r\n")


def test_trailers_that_would_frame_or_route_are_dropped(scripted):
    port, origin = scripted(chunked_script)
    exchange(port, request(
        b"POST / HTTP/1.1", b"Transfer-Encoding: chunked",
        body=b"1\r\nx\r\n0\r\nContent-Length: 9\r\nHost: evil\r\nTransfer-Encoding: chunked\r\n"
             b"X-Forwarded-For: 6.6.6.6\r\nCookie: a=b\r\nX-Ok: 1\r\n\r\n"))
    assert dechunk(origin.received.split(b"\r\n\r\n", 1)[1]) == (b"x", b"X-Ok: 1\r\n")


def test_a_request_in_single_bytes_arrives_whole(scripted):
    port, origin = scripted(chunked_script)
    with RawClient(port) as client:
        data = request(b"POST /a HTTP/1.1", b"Transfer-Encoding: chunked",
                       body=b"5;x=y\r\nhello\r\n0\r\nX: y\r\n\r\n")
        for at in range(len(data)):
            client.send(data[at:at + 1])
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    assert dechunk(origin.received.split(b"\r\n\r\n", 1)[1]) == (b"hello", b"X: y\r\n")


def test_an_empty_line_before_a_request_may_arrive_in_halves(scripted):
    port, origin = scripted(answering(reply()))
    with RawClient(port) as client:
        for piece, total in [(b"\r", 1), (b"\n\r\n\r", 5), (b"\n", 6)]:
            client.send(piece)
            wait_until(lambda n=total: origin.balancer.metrics().sum(
                "quoit_client_received_bytes_total") == n, 5, "the balancer has read it")
        client.send(request(b"GET / HTTP/1.1"))
        assert client.read_until(b"\r\n\r\nok").startswith(b"HTTP/1.1 200 OK\r\n")


def test_pipelined_requests_with_bodies_are_kept_apart_and_in_order(scripted):
    def script(connection):
        for _ in range(4):
            head = connection.read_head()
            for length in values_of(head, b"content-length"):
                connection.read_exactly(int(length))
            if values_of(head, b"transfer-encoding"):
                connection.read_until(b"\r\n0\r\n\r\n")
            connection.send(reply(head.split(b" ")[1]))
        connection.read_to_end()

    port, _ = scripted(script)
    with RawClient(port) as client:
        client.send(b"\r\n\r\n"
                    + request(b"POST /1 HTTP/1.1", b"Content-Length: 5", body=b"GET /")
                    + request(b"POST /2 HTTP/1.1", b"Transfer-Encoding: chunked",
                              body=b"3\r\nabc\r\n0\r\n\r\n")
                    + b"\r\n" + request(b"GET /3 HTTP/1.1")
                    + request(b"POST /4 HTTP/1.1", b"Content-Length: 2", body=b"\r\n"))
        for i in range(1, 5):
            assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")
            assert client.read_exactly(2) == b"/%d" % i


def test_a_client_that_ends_its_half_behind_its_requests_gets_every_answer(scripted):
    ended = threading.Event()

    def script(connection):
        while True:
            head = connection.read_head()
            assert ended.wait(10)
            connection.send(reply(head.split(b" ")[1]))

    port, origin = scripted(script)
    with RawClient(port) as client:
        client.send(b"".join(request(b"GET /%d HTTP/1.1" % i) for i in range(5)))
        client.half_close()
        ended.set()
        answer = client.read_to_end()
    heads = [part for part in answer.split(b"\r\n\r\n") if b"HTTP/1.1" in part]
    assert [head[:2] for head in answer.split(b"\r\n\r\n")[1:]] == [b"/%d" % i for i in range(5)]
    assert [values_of(head, b"connection") for head in heads] == [[]] * 4 + [[b"close"]]
    assert len(origin.connections) == 1


# --- responses ------------------------------------------------------------------------------------


def test_a_response_arrives_with_exactly_these_lines(scripted):
    port, _ = scripted(answering(
        b"HTTP/1.1 299 Odd \xe4 phrase\r\nContent-Length: 3\r\nX-Obs:\xff\r\nSet-Cookie: a=b\r\n"
        b"Set-Cookie: c=d\r\nConnection: keep-alive, x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\n"
        b"Proxy-Authenticate: x\r\n\r\nabc"))
    [head], body = exchange(port, request(b"GET / HTTP/1.1"))
    first, fields = lines_of(head)
    assert first == b"HTTP/1.1 299 Odd \xe4 phrase"
    assert fields == sorted([b"Content-Length: 3", b"X-Obs: \xff", b"Set-Cookie: a=b",
                             b"Set-Cookie: c=d", b"Via: 1.1 quoit"])
    assert body == b"abc"


@pytest.mark.parametrize("line", [b"HTTP/1.1 200", b"HTTP/1.1 200 "])
def test_a_phrase_may_be_missing(scripted, line):
    port, _ = scripted(answering(reply(line=line)))
    [head], _ = exchange(port, request(b"GET / HTTP/1.1"))
    assert head.startswith(b"HTTP/1.1 200 \r\n")


def test_a_chunked_response_arrives_without_extensions_and_with_trailers(scripted):
    port, _ = scripted(answering(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
        b"5;a=b\r\nhello\r\n0\r\nX-Sum: 7\r\nSet-Cookie: evil=1\r\nContent-Length: 3\r\n\r\n"))
    with RawClient(port) as client:
        client.send(request(b"GET / HTTP/1.1", b"Connection: close", b"TE: trailers"))
        head, body = client.read_to_end().split(b"\r\n\r\n", 1)
    assert values_of(head, b"transfer-encoding") == [b"chunked"]
    assert values_of(head, b"trailer") == [b"X-Sum"]
    assert dechunk(body) == (b"hello", b"X-Sum: 7\r\n")


def test_an_http_1_0_client_gets_a_chunked_response_as_plain_bytes_until_close(scripted):
    port, _ = scripted(answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                 b"5\r\nhello\r\n1\r\n!\r\n0\r\nX: y\r\n\r\n"))
    answer = raw(port, b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    head, body = answer.split(b"\r\n\r\n", 1)
    assert body == b"hello!"
    assert values_of(head, b"connection") == [b"close"]
    assert not values_of(head, b"transfer-encoding")


def until_close(connection):
    connection.read_head()
    connection.send(b"HTTP/1.1 200 OK\r\n\r\nhello, ")
    connection.send(b"world")


def test_a_response_until_close_reaches_an_http_1_1_client_with_its_end_marked(scripted):
    port, _ = scripted(until_close)
    with RawClient(port) as client:
        for _ in range(2):  # the client's connection outlives the origin's
            client.send(request(b"GET / HTTP/1.1"))
            head = client.read_until(b"\r\n\r\n")
            assert values_of(head, b"transfer-encoding") == [b"chunked"]
            assert dechunk(client.read_until(b"\r\n0\r\n\r\n")) == (b"hello, world", b"")


def test_a_response_until_close_reaches_an_http_1_0_client_until_close(scripted):
    port, _ = scripted(until_close)
    answer = raw(port, b"GET / HTTP/1.0\r\n\r\n")
    assert answer.endswith(b"\r\n\r\nhello, world")


def cut_off(connection):
    connection.read_head()
    connection.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
    connection.reset()


def test_a_response_until_close_that_ends_with_a_reset_is_not_marked_as_whole(scripted):
    port, _ = scripted(cut_off, retries=0)
    with RawClient(port) as client:
        client.send(request(b"GET / HTTP/1.1"))
        answer = client.read_to_end()
    assert not answer.endswith(b"0\r\n\r\n")


HEAD_ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 404 No\r\nContent-Length: 7\r\n\r\n",
]


@pytest.mark.parametrize("answer", HEAD_ANSWERS)
def test_an_answer_to_head_has_no_body_whatever_it_announces(scripted, answer):
    port, origin = scripted(answering(answer, reply()))
    with RawClient(port) as client:
        client.send(request(b"HEAD / HTTP/1.1") + request(b"GET / HTTP/1.1"))
        head = client.read_until(b"\r\n\r\n")
        assert values_of(head, b"content-length") == values_of(answer, b"content-length")
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")
        assert client.read_exactly(2) == b"ok"
    assert len(origin.connections) == 1


@pytest.mark.parametrize("answer, length", [
    (b"HTTP/1.1 204 No Content\r\n\r\n", []),
    (b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", []),
    (b"HTTP/1.1 304 Not Modified\r\n\r\n", []),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nETag: x\r\n\r\n", [b"9"]),
    (b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", []),
])
def test_statuses_without_body_end_with_their_head(scripted, answer, length):
    port, origin = scripted(answering(answer, reply()))
    with RawClient(port) as client:
        client.send(request(b"GET / HTTP/1.1") + request(b"GET / HTTP/1.1"))
        head = client.read_until(b"\r\n\r\n")
        assert head.split(b" ")[1] == answer.split(b" ")[1]
        assert values_of(head, b"content-length") == length
        assert not values_of(head, b"transfer-encoding")
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")
        assert client.read_exactly(2) == b"ok"
    assert len(origin.connections) == 1


@pytest.mark.parametrize("excess", [
    b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nx",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL",
])
def test_bytes_behind_a_response_are_nobodys_answer(scripted, excess):
    def script(connection):
        connection.read_head()
        connection.send(excess if connection.number == 0 else reply(b"good"))
        connection.read_to_end()

    port, origin = scripted(script)
    with RawClient(port) as client:
        client.send(request(b"GET / HTTP/1.1"))
        head = client.read_until(b"\r\n\r\n")
        assert head.split(b" ")[1] == excess.split(b" ")[1]
        if values_of(head, b"transfer-encoding"):
            assert client.read_until(b"0\r\n\r\n") == b"0\r\n\r\n"
        client.send(request(b"GET / HTTP/1.1"))
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")
        assert client.read_exactly(4) == b"good"
    assert len(origin.connections) == 2


def test_an_answer_to_head_with_a_body_is_nobodys_answer(scripted):
    def script(connection):
        connection.read_head()
        connection.send(reply(b"body") if connection.number == 0 else reply(b"good"))
        connection.read_to_end()

    port, _ = scripted(script)
    with RawClient(port) as client:
        client.send(request(b"HEAD / HTTP/1.1"))
        client.read_until(b"\r\n\r\n")
        client.send(request(b"GET / HTTP/1.1"))
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")
        assert client.read_exactly(4) == b"good"


MALFORMED = {
    "bare_lf": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "space_before_colon": b"HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
    "folded_first": b"HTTP/1.1 200 OK\r\n folded: y\r\n\r\n",
    "folded": b"HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n",
    "nul": b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
    "bare_cr": b"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\n\r\n",
    "length_twice": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "length_list": b"HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabc",
    "length_negative": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "length_and_chunked": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n"
                          b"\r\n0\r\n\r\n",
    "gzip": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    "gzip_chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked_in_1_0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "short_status": b"HTTP/1.1 20 OK\r\n\r\n",
    "status_099": b"HTTP/1.1 099 OK\r\n\r\n",
    "http_2": b"HTTP/2.0 200 OK\r\n\r\n",
    "lower_case": b"http/1.1 200 OK\r\n\r\n",
    "icy": b"ICY 200 OK\r\n\r\n",
    "html": b"<html>oops</html>\r\n\r\n",
    "ssh": b"SSH-2.0-x\r\n",
    "tls": b"\x15\x03\x01\x00\x02\x02\x46",
    "huge_field": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 40000 + b"\r\n\r\n",
    "many_fields": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    "unasked_101": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_response_becomes_502_and_is_not_asked_for_again(scripted, name):
    def script(connection):
        connection.read_head()
        connection.send(MALFORMED[name])
        connection.read_to_end()

    port, origin = scripted(script)
    with RawClient(port) as client:
        client.send(request(b"GET / HTTP/1.1"))
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 502 ")
    assert len(origin.connections) == 1


@pytest.mark.parametrize("rest", [b"x\r\n", b"5\nhello", b"5\r\nhelloX", b"-1\r\n",
                                  b"fffffffffffffffff\r\n", b"0\r\nX : y\r\n\r\n"])
def test_a_response_body_with_broken_chunks_is_not_passed_off_as_whole(scripted, rest):
    def script(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n" + rest)
        connection.read_to_end()

    port, origin = scripted(script)
    answer = raw(port, request(b"GET / HTTP/1.1"))
    assert b"3\r\nabc\r\n" in answer
    assert not answer.endswith(b"0\r\n\r\n")
    assert len(origin.connections) == 1


# --- 1xx ------------------------------------------------------------------------------------------

INTERIM = (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
           b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\nConnection: x\r\nX: 1\r\n\r\n")


def test_interim_responses_pass_one_by_one(scripted):
    port, _ = scripted(answering(INTERIM + reply()))
    heads, body = exchange(port, request(b"GET / HTTP/1.1"), n_heads=4)
    assert [head.split(b" ")[1] for head in heads] == [b"103", b"102", b"103", b"200"]
    assert values_of(heads[0], b"link") == [b"</a>"]
    assert not values_of(heads[2], b"content-length") and not values_of(heads[2], b"x")
    assert body == b"ok"


def test_an_http_1_0_client_sees_no_interim_response(scripted):
    port, _ = scripted(answering(INTERIM + reply()))
    answer = raw(port, b"GET / HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and answer.endswith(b"\r\n\r\nok")


def test_interim_responses_wait_for_a_client_that_reads_late(scripted):
    """More of them than the sockets hold: the origin has to wait, and none is lost or held back
    until the final response."""
    n, sent, go_on = 24000, [], threading.Event()
    interim = b"HTTP/1.1 103 Early Hints\r\nX: " + b"x" * 1000 + b"\r\n\r\n"

    def script(connection):
        connection.read_head()
        for _ in range(n):
            connection.send(interim)
            sent.append(1)
        assert go_on.wait(30)
        connection.send(reply())

    def halted(last=[0]):  # pylint: disable=dangerous-default-value
        before, last[0] = last[0], len(sent)
        return 0 < last[0] == before

    port, origin = scripted(script, retries=0)
    memory = Memory(origin.balancer)
    with RawClient(port, timeout=30) as client:
        client.send(request(b"GET / HTTP/1.1"))
        wait_until(halted, 20, "the origin comes to a halt", interval=0.3)
        assert len(sent) < n
        memory.assert_bounded()
        assert client.read_exactly(n * len(interim)) == n * interim
        go_on.set()
        assert client.read_until(b"\r\n\r\nok").startswith(b"HTTP/1.1 200 OK\r\n")


def test_an_endless_stream_of_interim_responses_ends_in_a_timeout_and_not_in_memory(scripted):
    def script(connection):
        connection.read_head()
        while True:
            connection.send(b"HTTP/1.1 103 Early Hints\r\nX: " + b"x" * 1000 + b"\r\n\r\n")

    port, origin = scripted(script, timeouts={"response": "500ms"}, retries=0)
    memory = Memory(origin.balancer)
    answer = raw(port, request(b"GET / HTTP/1.1", b"Connection: close"))
    assert answer.startswith(b"HTTP/1.1 103 ")
    memory.assert_bounded()
