"""Nothing that two readers could read in two ways reaches an origin.

The requests are those of the well-known smuggling and parser corpora. Each is followed by a second
request to /evil: a balancer that misjudges where the first one ends would pass it on, or hide it
from itself in a body.
"""
import re

import pytest

from http_client import RawClient, raw
from scripted import reply, values_of

EVIL = b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n"
TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


class Misread(AssertionError):
    """The bytes at the origin are no sequence of unambiguous requests."""


def strict_requests(data):
    """Splits what an origin received into requests [(method, target, body)], or raises Misread."""
    requests = []
    while data:
        head, found, data = data.partition(b"\r\n\r\n")
        if not found:
            raise Misread(f"incomplete: {head!r}")
        lines = head.split(b"\r\n")
        if any(c in line for line in lines for c in (b"\r", b"\n", b"\0")):
            raise Misread(f"control characters: {head!r}")
        method, target, version = lines[0].split(b" ")
        fields = {}
        for line in lines[1:]:
            name, colon, value = line.partition(b":")
            if not colon or not TOKEN.fullmatch(name):
                raise Misread(f"field: {line!r}")
            fields.setdefault(name.lower(), []).append(value.strip())
        if version != b"HTTP/1.1" or len(fields.get(b"host", [])) != 1:
            raise Misread(f"version or host: {head!r}")
        body, data = take_body(fields, data)
        requests.append((method, target, body))
    return requests


def take_body(fields, data):
    lengths, codings = fields.get(b"content-length", []), fields.get(b"transfer-encoding", [])
    if len(lengths) + len(codings) > 1:
        raise Misread(f"framed twice: {fields}")
    if codings:
        if codings != [b"chunked"]:
            raise Misread(f"coding: {fields}")
        return take_chunks(data)
    length = int(lengths[0]) if lengths else 0
    if lengths and not lengths[0].isdigit():
        raise Misread(f"length: {fields}")
    if len(data) < length:
        raise Misread("the body is short")
    return data[:length], data[length:]


def take_chunks(data):
    body = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        if not re.fullmatch(rb"[0-9a-f]{1,16}", size):
            raise Misread(f"chunk size: {size!r}")
        n = int(size, 16)
        if n == 0:
            trailers, _, data = (b"\r\n" + data).partition(b"\r\n\r\n")
            if trailers:
                raise Misread(f"trailers: {trailers!r}")
            return body, data
        body, end, data = body + data[:n], data[n:n + 2], data[n + 2:]
        if end != b"\r\n":
            raise Misread(f"chunk end: {end!r}")


def answer_everything(connection):
    """Answers each thing that looks like a request head, as a careless origin would."""
    while True:
        connection.read_head()
        connection.send(reply())


def head(*fields, line=b"POST / HTTP/1.1"):
    return b"\r\n".join([line, b"Host: a", *fields, b"", b""])


CHUNKED = b"Transfer-Encoding: chunked"
SMUGGLED = b"0\r\n\r\n" + EVIL

AMBIGUOUS = {
    # Content-Length against Transfer-Encoding, and their spellings
    "cl_te": head(b"Content-Length: %d" % len(SMUGGLED), CHUNKED) + SMUGGLED,
    "te_cl": head(CHUNKED, b"Content-Length: 4") + b"5c\r\n" + SMUGGLED,
    "cl0_te": head(b"Content-Length: 0", CHUNKED) + SMUGGLED,
    "te_te": head(CHUNKED, b"Transfer-Encoding: identity") + SMUGGLED,
    "te_chunked_twice": head(CHUNKED, CHUNKED) + SMUGGLED,
    "te_list_twice": head(b"Transfer-Encoding: chunked, chunked") + SMUGGLED,
    "te_not_last": head(b"Transfer-Encoding: chunked, gzip") + SMUGGLED,
    "te_gzip": head(b"Transfer-Encoding: gzip") + SMUGGLED,
    "te_gzip_chunked": head(b"Transfer-Encoding: gzip, chunked") + SMUGGLED,
    "te_identity": head(b"Transfer-Encoding: identity", b"Content-Length: 3") + b"abc" + EVIL,
    "te_empty": head(b"Transfer-Encoding:") + SMUGGLED,
    "te_comma": head(b"Transfer-Encoding: ,chunked") + SMUGGLED,
    "te_x": head(b"Transfer-Encoding: xchunked") + SMUGGLED,
    "te_quoted": head(b"Transfer-Encoding: \"chunked\"") + SMUGGLED,
    "te_space_before_colon": head(b"Transfer-Encoding : chunked") + SMUGGLED,
    "te_tab_before_colon": head(b"Transfer-Encoding\t: chunked") + SMUGGLED,
    "te_leading_space": head(b" Transfer-Encoding: chunked") + SMUGGLED,
    "te_folded": head(b"Transfer-Encoding:\r\n chunked") + SMUGGLED,
    "te_folded_name": head(b"X: y\r\n Transfer-Encoding: chunked") + SMUGGLED,
    "te_vertical_tab": head(b"Transfer-Encoding: \x0bchunked") + SMUGGLED,
    "te_form_feed": head(b"Transfer-Encoding: chunked\x0c") + SMUGGLED,
    "te_nul": head(b"Transfer-Encoding: chunked\0") + SMUGGLED,
    "te_behind_cr": head(b"X: y\rTransfer-Encoding: chunked") + SMUGGLED,
    "te_behind_lf": head(b"X: y\nTransfer-Encoding: chunked") + SMUGGLED,
    "te_behind_lf_alone": head(b"X: y\n\r\nTransfer-Encoding: chunked") + SMUGGLED,
    "te_semicolon": head(b"Transfer-Encoding: chunked;a=b") + SMUGGLED,
    "te_nbsp": head(b"Transfer-Encoding:\xa0chunked") + SMUGGLED,
    "te_long_s": head("Transfer-Encoding: chunK\u0435d".encode()) + SMUGGLED,
    "te_http_1_0": head(CHUNKED, line=b"POST / HTTP/1.0") + SMUGGLED,
    "cl_twice_same": head(b"Content-Length: 3", b"Content-Length: 3") + b"abc" + EVIL,
    "cl_twice": head(b"Content-Length: 0", b"Content-Length: %d" % len(EVIL)) + EVIL,
    "cl_twice_case": head(b"Content-Length: 0", b"content-length: %d" % len(EVIL)) + EVIL,
    "cl_list": head(b"Content-Length: 3, 3") + b"abc" + EVIL,
    "cl_list_differs": head(b"Content-Length: 0, %d" % len(EVIL)) + EVIL,
    "cl_plus": head(b"Content-Length: +3") + b"abc" + EVIL,
    "cl_minus": head(b"Content-Length: -1") + EVIL,
    "cl_minus_zero": head(b"Content-Length: -0") + EVIL,
    "cl_hex": head(b"Content-Length: 0x3") + b"abc" + EVIL,
    "cl_underscore": head(b"Content-Length: 1_0") + EVIL,
    "cl_space": head(b"Content-Length: 1 0") + EVIL,
    "cl_tail": head(b"Content-Length: 3a") + b"abc" + EVIL,
    "cl_float": head(b"Content-Length: 3.0") + b"abc" + EVIL,
    "cl_exponent": head(b"Content-Length: 3e0") + b"abc" + EVIL,
    "cl_quoted": head(b"Content-Length: \"3\"") + b"abc" + EVIL,
    "cl_empty": head(b"Content-Length:") + EVIL,
    "cl_overflow_32": head(b"Content-Length: 4294967296000000000000") + EVIL,
    "cl_overflow_64": head(b"Content-Length: 18446744073709551619") + b"abc" + EVIL,
    "cl_overflow_63": head(b"Content-Length: 9223372036854775808") + EVIL,
    "cl_space_before_colon": head(b"Content-Length : 3") + b"abc" + EVIL,
    "cl_arabic_digit": head("Content-Length: \u0663".encode()) + b"abc" + EVIL,
    # lines
    "bare_lf": b"GET / HTTP/1.1\nHost: a\n\n" + EVIL,
    "bare_lf_field": b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n" + EVIL,
    "bare_lf_end": b"GET / HTTP/1.1\r\nHost: a\r\n\n" + EVIL,
    "bare_cr_end": b"GET / HTTP/1.1\r\nHost: a\r\n\r" + EVIL,
    "cr_cr_lf": b"GET / HTTP/1.1\r\r\nHost: a\r\r\n\r\r\n" + EVIL,
    "nul_in_name": head(b"X\0: y") + EVIL,
    "nul_in_value": head(b"X: \0") + EVIL,
    "no_colon": head(b"X") + EVIL,
    "no_name": head(b": x") + EVIL,
    "space_in_name": head(b"X Y: z") + EVIL,
    "blank_line_with_space": b"GET / HTTP/1.1\r\nHost: a\r\n \r\n\r\n" + EVIL,
    "first_field_folded": b"GET / HTTP/1.1\r\n Host: a\r\nHost: b\r\n\r\n" + EVIL,
    "fold_of_nothing": b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\t\r\n\r\n" + EVIL,
    "lf_first": b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n" + EVIL,
    # the request line
    "two_spaces": head(line=b"GET  / HTTP/1.1") + EVIL,
    "tab": head(line=b"GET\t/ HTTP/1.1") + EVIL,
    "space_in_target": head(line=b"GET /a b HTTP/1.1") + EVIL,
    "version_twice": head(line=b"GET / HTTP/1.1 HTTP/1.1") + EVIL,
    "version_behind_space": head(line=b"GET / HTTP/1.1 ") + EVIL,
    "no_version": b"GET /\r\n" + EVIL,
    "version_1_10": head(line=b"GET / HTTP/1.10") + EVIL,
    "version_plus": head(line=b"GET / HTTP/+1.1") + EVIL,
    "fragment": head(line=b"GET /#x HTTP/1.1") + EVIL,
    "backslash": head(line=b"GET /a\\..\\b HTTP/1.1") + EVIL,
    "no_slash": head(line=b"GET evil HTTP/1.1") + EVIL,
    "cr_in_target": head(line=b"GET /\r/ HTTP/1.1") + EVIL,
    "nul_in_target": head(line=b"GET /\0 HTTP/1.1") + EVIL,
    "method_with_colon": head(line=b"GET: / HTTP/1.1") + EVIL,
    # hosts
    "no_host": b"GET / HTTP/1.1\r\n\r\n" + EVIL,
    "two_hosts": head(b"Host: b", line=b"GET / HTTP/1.1") + EVIL,
    "host_list": b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n" + EVIL,
    "host_with_path": b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n" + EVIL,
    "host_with_user": b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n" + EVIL,
    "host_with_space": b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n" + EVIL,
    "host_with_bad_port": b"GET / HTTP/1.1\r\nHost: a:8x\r\n\r\n" + EVIL,
    "target_with_user": head(line=b"GET http://a@b/ HTTP/1.1") + EVIL,
    "target_without_host": head(line=b"GET http:///a HTTP/1.1") + EVIL,
    "target_of_other_scheme": head(line=b"GET ftp://a/ HTTP/1.1") + EVIL,
    "connect": head(line=b"CONNECT a:80 HTTP/1.1") + EVIL,
}


@pytest.fixture(name="careless")
def careless_origin(scripted):
    return scripted(answer_everything)


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_an_ambiguous_request_is_refused_with_everything_behind_it(careless, name):
    port, origin = careless
    answer = raw(port, AMBIGUOUS[name])
    status = int(answer.split(b" ")[1])
    assert status in (400, 405, 501, 505), answer
    assert answer.count(b"HTTP/1.1 ") == 1
    assert values_of(answer, b"connection") == [b"close"]
    assert origin.received == b""


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_an_ambiguous_request_in_single_bytes_is_refused_as_well(careless, name):
    port, origin = careless
    with RawClient(port) as client:
        try:
            for at in range(len(AMBIGUOUS[name])):
                client.send(AMBIGUOUS[name][at:at + 1])
        except OSError:
            pass  # refused and closed before its end
        answer = client.read_to_end()
    assert answer.count(b"HTTP/1.1 ") <= 1
    assert origin.received == b""


BAD_CHUNKS = {
    "no_digit": b"\r\n", "space_first": b" 1\r\nx\r\n", "space_behind": b"1 \r\nx\r\n",
    "sign": b"+1\r\nx\r\n", "prefix": b"0x1\r\nx\r\n", "underscore": b"1_0\r\n",
    "bare_lf": b"1\nx\n0\n\n", "bare_lf_in_extension": b"1;\nx\r\n0\r\n\r\n",
    "bare_cr_in_extension": b"1;a\rb\r\nx\r\n", "nul_in_extension": b"1;\0\r\nx\r\n",
    "longer_than_said": b"1\r\nxy\r\n", "shorter_than_said": b"3\r\nx\r\n0\r\n\r\n",
    "no_line_end": b"1\r\nx0\r\n\r\n", "lf_behind_data": b"1\r\nx\n0\r\n\r\n",
    "overflow": b"10000000000000001\r\nx\r\n", "overflow_63": b"8000000000000000\r\n",
    "many_zeros": b"00000000000000001\r\nx\r\n", "huge_extension": b"1;" + b"x" * 5000 + b"\r\n",
    "trailer_space": b"0\r\nX : y\r\n\r\n", "trailer_fold": b"0\r\nX: y\r\n z\r\n\r\n",
    "trailer_lf": b"0\r\nX: y\n\n", "trailer_end_lf": b"0\r\n\n",
    "request_as_trailer": b"0\r\nGET /evil HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_broken_chunks_never_make_a_whole_request(careless, name):
    """The head may be on its way already; what matters is that no second request follows, and
    that the origin can see that the first one is not whole."""
    port, origin = careless
    answer = raw(port, head(CHUNKED) + BAD_CHUNKS[name] + EVIL)
    assert b" 400 " in answer or b" 200 " in answer
    if origin.received:
        with pytest.raises((Misread, ValueError)):
            strict_requests(origin.received)


LEGAL = {
    "evil_as_body": (head(b"Content-Length: %d" % len(EVIL)) + EVIL,
                     [(b"POST", b"/", EVIL)]),
    "evil_as_chunk": (head(CHUNKED) + b"%x\r\n" % len(EVIL) + EVIL + b"\r\n0\r\n\r\n",
                      [(b"POST", b"/", EVIL)]),
    "get_with_body": (head(b"Content-Length: 3", line=b"GET / HTTP/1.1") + b"abc" + EVIL,
                      [(b"GET", b"/", b"abc"), (b"GET", b"/evil", b"")]),
    "leading_zeros": (head(b"Content-Length: 0003") + b"abc" + EVIL,
                      [(b"POST", b"/", b"abc"), (b"GET", b"/evil", b"")]),
    "chunk_extension": (head(CHUNKED) + b"3;x=\"0\\\"\"\r\nabc\r\n0;y\r\nX: y\r\n\r\n" + EVIL,
                        None),
    "te_named_by_connection": (head(CHUNKED, b"Connection: Transfer-Encoding")
                               + b"3\r\nabc\r\n0\r\n\r\n" + EVIL,
                               [(b"POST", b"/", b"abc"), (b"GET", b"/evil", b"")]),
    "cl_named_by_connection": (head(b"Content-Length: 3", b"Connection: Content-Length, Host")
                               + b"abc" + EVIL,
                               [(b"POST", b"/", b"abc"), (b"GET", b"/evil", b"")]),
    "underscores": (head(b"Content_Length: 3", b"Transfer_Encoding: chunked",
                         line=b"GET / HTTP/1.1") + EVIL,
                    [(b"GET", b"/", b""), (b"GET", b"/evil", b"")]),
    "upgrade_with_body": (head(b"Content-Length: 3", b"Upgrade: websocket", b"Connection: upgrade")
                          + b"abc" + EVIL,
                          [(b"POST", b"/", b"abc"), (b"GET", b"/evil", b"")]),
    "h2c": (head(b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk", b"Connection: upgrade,"
                 b" http2-settings", line=b"GET / HTTP/1.1") + EVIL,
            [(b"GET", b"/", b""), (b"GET", b"/evil", b"")]),
    "empty_lines_between": (head(line=b"GET / HTTP/1.1") + b"\r\n\r\n" + EVIL,
                            [(b"GET", b"/", b""), (b"GET", b"/evil", b"")]),
    "version_1_2": (head(line=b"GET / HTTP/1.2") + EVIL,
                    [(b"GET", b"/", b""), (b"GET", b"/evil", b"")]),
}


@pytest.mark.parametrize("name", LEGAL)
def test_a_tricky_but_legal_request_is_read_alike_on_both_sides(scripted, name):
    data, expected = LEGAL[name]
    port, origin = scripted(answer_byte_by_byte)
    with RawClient(port) as client:
        client.send(data)
        n = 2 if expected is None else len(expected)
        for _ in range(n):
            assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")
            assert client.read_exactly(2) == b"ok"
    assert b"h2c" not in origin.received.lower()
    if expected is not None:
        assert strict_requests(origin.received) == expected
    else:
        assert b"\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\nGET /evil" in origin.received


def answer_byte_by_byte(connection):
    """Answers each request once the strict reader sees it whole, looking after every byte."""
    answered = 0
    while True:
        connection.read_exactly(1)
        try:
            whole = len(strict_requests(seen_of(connection)))
        except (Misread, ValueError):
            continue
        if whole > answered:
            answered = whole
            connection.send(reply())


def seen_of(connection):
    return connection.received[:connection.n_read].replace(b"0\r\nX: y\r\n\r\n", b"0\r\n\r\n")


def test_a_request_behind_a_refused_one_is_never_looked_at(careless):
    port, origin = careless
    answer = raw(port, EVIL.replace(b"evil", b"good") + head(b"X : y") + EVIL)
    assert re.findall(rb"HTTP/1\.1 (\d+)", answer) == [b"200", b"400"]
    assert b"/evil" not in origin.received and b"/good" in origin.received
