"""The answers quoit gives itself: their form, and what becomes of the connection."""
import contextlib
import email.utils
import json
import socket
import threading
import time

import pytest

from http_client import RawClient, raw
from ports import bind_free
from quoit_process import static_pool
from scripted import reply, values_of
from waiting import wait_until


def request(line, *fields, body=b""):
    return b"\r\n".join([line, b"Host: a.example", *fields, b"", body])


def answer_each(connection):
    while True:
        connection.read_head()
        connection.send(reply())


def never_answer(connection):
    connection.read_to_end()


def read_own_answer(client, has_body=True):
    """(status, head) of an answer of quoit's own, whose form is checked."""
    head = client.read_until(b"\r\n\r\n")
    version, status, phrase = head.split(b"\r\n")[0].split(b" ", 2)
    assert version == b"HTTP/1.1" and phrase
    assert values_of(head, b"server") == [b"quoit"]
    assert values_of(head, b"content-type") == [b"text/plain"]
    [date] = values_of(head, b"date")
    then = email.utils.parsedate_to_datetime(date.decode()).timestamp()
    assert abs(then - time.time()) < 5
    [length] = values_of(head, b"content-length")
    if has_body:
        body = client.read_exactly(int(length))
        assert body.startswith(status) and body.endswith(b"\n")
    return int(status), head


def wait_reason(balancer, reason):
    return wait_until(lambda: any(line["reason"] == reason for line in balancer.access()), 5,
                      lambda: f"{reason} in the access log: {balancer.access()}")


# Everything that a request's head alone can be refused for; all of it ends the connection.
REFUSED = [
    (b"GET / HTTP/1.1\r\n\r\n", 400, "bad_request"),
    (request(b"CONNECT a:443 HTTP/1.1"), 405, "method_refused"),
    (request(b"POST / HTTP/1.1", b"Content-Length: 101"), 413, "body_too_large"),
    (request(b"GET /" + b"a" * 9000 + b" HTTP/1.1"), 414, "target_too_long"),
    (request(b"POST / HTTP/1.1", b"Expect: 200-ok", b"Content-Length: 1"), 417,
     "expectation_failed"),
    (request(b"GET / HTTP/1.1", b"X: " + b"a" * 17000), 431, "head_too_large"),
    (request(b"GET / HTTP/1.1", *[b"X: y"] * 100), 431, "head_too_large"),
    (request(b"POST / HTTP/1.1", b"Transfer-Encoding: gzip, chunked"), 501, "coding_unknown"),
    (request(b"GET / HTTP/2.0"), 505, "version_unknown"),
]


@pytest.mark.parametrize("data, status, reason", REFUSED, ids=[case[2] for case in REFUSED])
def test_a_refused_head_gets_its_status_and_the_end_of_the_connection(scripted, data, status,
                                                                      reason):
    port, origin = scripted(never_answer, {"client": {"max_body_size": "100b"}})
    with RawClient(port) as client:
        client.send(data)
        got, head = read_own_answer(client)
        assert got == status
        assert values_of(head, b"connection") == [b"close"]
        if status == 405:
            assert b"GET" in values_of(head, b"allow")[0]
        assert client.read_to_end() == b""
    wait_reason(origin.balancer, reason)
    assert origin.received == b""


def test_limits_are_exact(scripted):
    port, _ = scripted(answer_each, {"client": {"max_target_size": "100b", "max_fields": 10,
                                                "max_head_size": "1k"}})

    def status_of(data):
        with RawClient(port) as client:
            client.send(data)
            return int(client.read_until(b"\r\n\r\n").split(b" ")[1])

    def head_of(n):
        data = request(b"GET / HTTP/1.1", b"X: ")
        return data[:-4] + b"x" * (n - len(data)) + data[-4:]

    assert status_of(request(b"GET /" + b"a" * 99 + b" HTTP/1.1")) == 200
    assert status_of(request(b"GET /" + b"a" * 100 + b" HTTP/1.1")) == 414
    assert status_of(request(b"GET / HTTP/1.1", *[b"X: y"] * 9)) == 200
    assert status_of(request(b"GET / HTTP/1.1", *[b"X: y"] * 10)) == 431
    assert status_of(head_of(1024)) == 200
    assert status_of(head_of(1025)) == 431


def test_the_largest_head_still_has_room_for_what_is_added(scripted):
    port, origin = scripted(answer_each)
    data = request(b"GET / HTTP/1.1", *[b"X: y"] * 98, b"Y: ")
    data = data[:-4] + b"y" * (16384 - len(data)) + data[-4:]
    with RawClient(port) as client:
        client.send(data)
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    assert len(origin.received) > 16384
    assert values_of(origin.received, b"via") == [b"1.1 quoit"]


def test_a_chunked_body_that_grows_too_large_is_413(scripted):
    port, origin = scripted(never_answer, {"client": {"max_body_size": "100b"}})
    with RawClient(port) as client:
        client.send(request(b"POST / HTTP/1.1", b"Transfer-Encoding: chunked",
                            body=b"32\r\n" + b"x" * 50 + b"\r\n"))
        origin.wait_received(b"x" * 50)
        client.send(b"33\r\n" + b"x" * 51 + b"\r\n0\r\n\r\n")
        status, head = read_own_answer(client)
        assert status == 413
        assert values_of(head, b"connection") == [b"close"]
        assert client.read_to_end() == b""
    wait_reason(origin.balancer, "body_too_large")
    assert not origin.received.endswith(b"0\r\n\r\n")


def test_a_chunked_body_may_fill_the_limit(scripted):
    def script(connection):
        connection.read_until(b"0\r\n\r\n")
        connection.send(reply())

    port, _ = scripted(script, {"client": {"max_body_size": "100b"}})
    with RawClient(port) as client:
        client.send(request(b"POST / HTTP/1.1", b"Transfer-Encoding: chunked",
                            body=(b"32\r\n" + b"x" * 50 + b"\r\n") * 2 + b"0\r\n\r\n"))
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_no_route_is_404_and_leaves_the_connection_usable(scripted, method):
    port, origin = scripted(answer_each, {"routes": [{"path": "/web", "pool": "web"}]})
    with RawClient(port) as client:
        for _ in range(2):
            client.send(request(method + b" /other HTTP/1.1"))
            status, head = read_own_answer(client, has_body=method != b"HEAD")
            assert status == 404
            assert not values_of(head, b"connection")
        client.send(request(b"GET /web HTTP/1.1"))
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        assert client.read_exactly(2) == b"ok"
    wait_reason(origin.balancer, "no_route")


def test_an_own_answer_to_a_request_with_a_body_does_not_read_the_body_as_a_request(scripted):
    port, origin = scripted(answer_each, {"routes": [{"path": "/web", "pool": "web"}]})
    body = request(b"GET /web/evil HTTP/1.1")
    with RawClient(port) as client:
        client.send(request(b"POST /other HTTP/1.1", b"Content-Length: %d" % len(body), body=body))
        assert read_own_answer(client)[0] == 404
        assert client.read_to_end() == b""
    assert origin.received == b""


def test_an_own_answer_to_an_http_1_0_client_follows_its_wish(scripted):
    port, _ = scripted(answer_each, {"routes": [{"path": "/web", "pool": "web"}]})
    with RawClient(port) as client:
        client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        status, head = read_own_answer(client)
        assert status == 404 and values_of(head, b"connection") == [b"keep-alive"]
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        status, head = read_own_answer(client)
        assert status == 404 and values_of(head, b"connection") == [b"close"]
        assert client.read_to_end() == b""


# --- endpoints ------------------------------------------------------------------------------------


@pytest.fixture(name="refused_port")
def port_that_refuses():
    """A port that stays bound, so that nobody listens on it during the test."""
    with socket.socket() as sock:
        bind_free(sock)
        yield sock.getsockname()[1]


def start(quoit, pool, **more):
    balancer = quoit({"workers": 1, "pools": {"web": pool}, **more}, wait_ready=False)
    wait_until(lambda: balancer.admin("/healthz")[0] == 200)
    return balancer


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_a_refused_connection_is_502(quoit, refused_port, method):
    balancer = start(quoit, static_pool([f"127.0.0.1:{refused_port}"]))
    with RawClient(balancer.port) as client:
        for _ in range(2):  # the client's connection stays
            client.send(request(method + b" / HTTP/1.1"))
            status, head = read_own_answer(client)
            assert status == 502 and not values_of(head, b"connection")
    wait_reason(balancer, "connect_refused")


def test_no_endpoint_is_503_with_a_time_to_come_back(quoit):
    balancer = start(quoit, {"endpoints": [{"address": "127.0.0.1:1", "weight": 0}]})
    with RawClient(balancer.port) as client:
        client.send(request(b"GET / HTTP/1.1"))
        status, head = read_own_answer(client)
        assert status == 503 and values_of(head, b"retry-after")
    wait_reason(balancer, "no_endpoint")


def test_a_connection_that_is_never_accepted_is_504(quoit):
    """A listener whose queue is full drops further connection requests."""
    with socket.socket() as listener:
        bind_free(listener)
        listener.listen(0)
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            fillers.append(filler)
        pool = static_pool(["127.0.0.1:%d" % listener.getsockname()[1]],
                           timeouts={"connect": "300ms"}, retries=0)
        balancer = start(quoit, pool)
        with RawClient(balancer.port) as client:
            client.send(request(b"GET / HTTP/1.1"))
            assert read_own_answer(client)[0] == 504
        wait_reason(balancer, "connect_timeout")
        for filler in fillers:
            filler.close()


def test_an_endpoint_that_does_not_answer_is_504_and_its_connection_is_given_up(scripted):
    port, origin = scripted(never_answer, timeouts={"response": "300ms"}, retries=0)
    with RawClient(port) as client:
        client.send(request(b"GET / HTTP/1.1"))
        assert read_own_answer(client)[0] == 504
        wait_until(lambda: origin.connections[0].closed)
    wait_reason(origin.balancer, "upstream_timeout")


def test_the_response_deadline_waits_for_the_request_to_be_sent(scripted):
    def script(connection):
        connection.read_until(b"last")
        connection.send(reply())

    port, _ = scripted(script, timeouts={"response": "400ms"}, retries=0)
    with RawClient(port) as client:
        client.send(request(b"POST / HTTP/1.1", b"Content-Length: 9"))
        for piece in (b"a", b"b", b"c", b"d", b"e", b"last"):
            time.sleep(0.15)  # the body takes longer than the response may
            client.send(piece)
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-"])
def test_an_endpoint_that_closes_without_an_answer_is_502(scripted, sent):
    def script(connection):
        connection.read_head()
        connection.send(sent)

    port, origin = scripted(script, retries=0)
    with RawClient(port) as client:
        client.send(request(b"GET / HTTP/1.1"))
        status, head = read_own_answer(client)
        assert status == 502 and not values_of(head, b"connection")
    wait_reason(origin.balancer, "upstream_closed")


def test_a_total_deadline_before_the_response_is_504(scripted):
    port, origin = scripted(never_answer, timeouts={"total": "300ms"})
    with RawClient(port) as client:
        client.send(request(b"GET / HTTP/1.1"))
        assert read_own_answer(client)[0] == 504
    wait_reason(origin.balancer, "total_timeout")


def test_a_response_that_stands_still_is_cut_off(scripted):
    def script(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        connection.read_to_end()

    port, origin = scripted(script, timeouts={"idle": "300ms"})
    answer = raw(port, request(b"GET / HTTP/1.1"))
    assert answer.endswith(b"\r\n\r\nabc")
    assert wait_reason(origin.balancer, "upstream_timeout")
    wait_until(lambda: origin.connections[0].closed)


# --- clients --------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"G", b"GET / HTTP/1.1\r\nHost: a\r\n"])
def test_a_head_that_takes_too_long_is_408(scripted, data):
    port, origin = scripted(never_answer, {"client": {"header_timeout": "300ms"}})
    with RawClient(port) as client:
        client.send(data)
        status, head = read_own_answer(client)
        assert status == 408 and values_of(head, b"connection") == [b"close"]
        assert client.read_to_end() == b""
    wait_reason(origin.balancer, "client_timeout")


def test_a_trickling_head_does_not_stretch_its_deadline(scripted):
    port, _ = scripted(never_answer, {"client": {"header_timeout": "500ms"}})
    begun = time.monotonic()
    with RawClient(port) as client:
        client.send(b"GET / HTTP/1.1\r\n")
        client.sock.settimeout(0.1)
        answer = b""
        while not answer and time.monotonic() - begun < 5:
            client.send(b"X: y\r\n")
            try:
                answer = client.sock.recv(1000)
            except TimeoutError:
                pass
    assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("before", [b"", b"\r\n"])
def test_a_client_that_says_nothing_is_closed_without_a_word(scripted, before):
    port, _ = scripted(never_answer, {"client": {"header_timeout": "300ms"}})
    assert raw(port, before) == b""


def test_a_request_body_that_stands_still_is_408(scripted):
    port, origin = scripted(never_answer, {"client": {"body_timeout": "300ms"}})
    with RawClient(port) as client:
        client.send(request(b"POST / HTTP/1.1", b"Content-Length: 10", body=b"abc"))
        status, head = read_own_answer(client)
        assert status == 408 and values_of(head, b"connection") == [b"close"]
        assert client.read_to_end() == b""
    wait_until(lambda: origin.connections[0].closed)
    wait_reason(origin.balancer, "client_timeout")


@pytest.mark.parametrize("framing, body", [
    (b"Content-Length: 10", b"abc"), (b"Transfer-Encoding: chunked", b"5\r\nabc"),
    (b"Transfer-Encoding: chunked", b"3\r\nabc\r\n0\r\n"),
])
def test_a_client_that_ends_inside_its_body_makes_no_whole_request(scripted, framing, body):
    port, origin = scripted(never_answer)
    with RawClient(port) as client:
        client.send(request(b"POST / HTTP/1.1", framing, body=body))
        origin.wait_received(b"abc")
        client.half_close()
        client.read_to_end()
    wait_until(lambda: origin.connections[0].closed)
    assert not origin.received.endswith(b"0\r\n\r\n")
    wait_reason(origin.balancer, "client_gone")


def test_a_client_that_leaves_takes_its_request_from_the_origin(scripted):
    port, origin = scripted(never_answer)
    with RawClient(port) as client:
        client.send(request(b"GET / HTTP/1.1"))
        origin.wait_received(b"\r\n\r\n")
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    wait_until(lambda: origin.connections[0].closed, 5, "the origin's connection to be closed")
    wait_reason(origin.balancer, "client_gone")


def test_a_client_that_ends_its_half_still_gets_its_answer(scripted):
    port, _ = scripted(answer_each)
    with RawClient(port) as client:
        client.send(request(b"GET / HTTP/1.1"))
        client.half_close()
        answer = client.read_to_end()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and answer.endswith(b"\r\n\r\nok")


def test_an_upload_that_the_origin_does_not_take_is_504(scripted):
    go_on = threading.Event()

    def script(connection):
        connection.read_head()
        assert go_on.wait(30)

    port, origin = scripted(script, receive_buffer=1 << 16, timeouts={"idle": "2s"}, retries=0)
    with RawClient(port) as client:
        client.send(request(b"POST / HTTP/1.1", b"Content-Length: %d" % (1 << 30)))
        client.sock.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            for _ in range(1 << 10):  # until nothing is taken any more
                client.send(b"x" * (1 << 20))
        client.sock.settimeout(15)
        assert read_own_answer(client)[0] == 504
    go_on.set()
    wait_reason(origin.balancer, "upstream_timeout")


def test_a_client_that_reads_nothing_is_given_up(scripted):
    def flood(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n")
        for _ in range(1024):
            connection.send(b"x" * 65536)

    port, origin = scripted(flood, {"client": {"send_timeout": "400ms"}})
    with RawClient(port) as client:
        client.send(request(b"GET / HTTP/1.1"))
        wait_reason(origin.balancer, "client_slow")


def test_every_own_answer_is_counted_under_its_reason(scripted):
    port, origin = scripted(answer_each, {"routes": [{"path": "/web", "pool": "web"}]})
    raw(port, b"GET\r\n\r\n")
    raw(port, request(b"GET /other HTTP/1.1", b"Connection: close"))
    lines = origin.balancer.wait_access(2)
    assert sorted((line["status"], line["reason"]) for line in lines) == \
        [(400, "bad_request"), (404, "no_route")], json.dumps(lines)
