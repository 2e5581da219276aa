"""HTTP/2 endpoints that refuse, leave, stall and misbehave: what becomes of the requests."""
import threading

import pytest
from hyperframe.frame import ContinuationFrame, DataFrame, HeadersFrame, PingFrame

from h2_client import (CANCEL, ENHANCE_YOUR_CALM, H2Client, INTERNAL_ERROR, NO_ERROR,
                       PROTOCOL_ERROR, REFUSED_STREAM, frame)
from h2_origin import H2Endpoint
from http_client import Client, RawClient, get, raw
from waiting import wait_until


@pytest.fixture
def h2_scripted(scripted):
    """A balancer that speaks nothing but HTTP/2 to a scripted origin: (port, origin)."""
    def start(script, n_endpoints=1, **pool):
        return scripted(script, {"listener": {"http2": "on"}}, n_endpoints, http2="only", **pool)
    return start


def endpoint_counter(balancer, name):
    return balancer.metrics().sum(f"quoit_endpoint_{name}")


def reason_of(origin, n=1):
    return origin.balancer.wait_access(n)[n - 1]["reason"]


# ---- what was not looked at goes elsewhere ----

def test_a_refused_post_goes_to_another_endpoint(h2_scripted):
    refused = []

    def script(connection):
        endpoint = H2Endpoint(connection)
        while True:
            request = endpoint.wait_request()
            if not refused:
                refused.append(connection.number)
                endpoint.reset(request.stream, REFUSED_STREAM)
            else:
                endpoint.answer(request.stream, body=request.body)

    port, origin = h2_scripted(script, 2, algorithm="round_robin")
    with Client(port) as client:
        assert client.ask("POST", "/", b"body").body == b"body"
        assert client.ask("POST", "/", b"again").body == b"again"
    assert len(origin.connections) == 2
    assert endpoint_counter(origin.balancer, "http2_refused_streams_total") == 1
    assert origin.balancer.wait_access(1)[0]["attempts"] == 2


def test_a_post_that_every_endpoint_refuses_is_told_so(h2_scripted):
    def script(connection):
        endpoint = H2Endpoint(connection)
        while True:
            endpoint.reset(endpoint.wait_request().stream, REFUSED_STREAM)

    port, origin = h2_scripted(script, 2)
    with Client(port) as client:
        answer = client.ask("POST", "/", b"body")
    assert answer.status == 502 and reason_of(origin) == "stream_refused"


def test_requests_above_a_goaways_last_stream_go_to_a_new_connection(h2_scripted):
    """POST requests too; the one below it is answered on the old connection."""
    go = threading.Event()

    def script(connection):
        endpoint = H2Endpoint(connection)
        if connection.number == 0:
            first = endpoint.wait_request()
            go.set()
            for _ in range(4):
                endpoint.wait_request()
            endpoint.goaway(first.stream)
            wait_until(lambda: len(origin.connections) == 2, 20, "a new connection")
            endpoint.answer(first.stream, body=b"old")
            connection.read_to_end()
        else:
            endpoint.serve(body=b"new")

    port, origin = h2_scripted(script)
    clients = [Client(port) for _ in range(5)]
    clients[0].send("POST", "/", b"0")
    assert go.wait(20)
    for client in clients[1:]:
        client.send("POST", "/", b"body")
    assert clients[0].receive().body == b"old"
    for client in clients[1:]:
        assert client.receive().body == b"new"
        client.connection.close()
    assert len(origin.connections) == 2
    wait_until(origin.connections[0].finished.is_set, 10, "the old connection's end")
    assert endpoint_counter(origin.balancer, "http2_goaways_total") == 1
    assert endpoint_counter(origin.balancer, "failures_total") == 0


def test_a_farewell_in_two_steps_loses_nothing(h2_scripted):
    """As RFC 9113 section 6.8 has it: first a GOAWAY that only warns."""
    def script(connection):
        endpoint = H2Endpoint(connection)
        request = endpoint.wait_request()
        endpoint.goaway(0x7fffffff)
        endpoint.answer(request.stream)
        endpoint.serve()

    port, origin = h2_scripted(script)
    with Client(port) as client:
        for _ in range(4):
            assert client.ask("POST", "/", b"x").status == 200
    assert len(origin.connections) == 4


def test_endpoints_that_come_and_go_fail_no_request(h2_scripted):
    """Each connection is told to end after ten requests, some of which it never looks at."""
    def script(connection):
        endpoint = H2Endpoint(connection)
        for _ in range(10):
            endpoint.answer(endpoint.wait_request().stream)
        last = max(endpoint.requests)
        endpoint.goaway(last)
        while True:
            request = endpoint.wait_request()
            if request.stream <= last:
                endpoint.answer(request.stream)

    port, origin = h2_scripted(script)
    failed = []

    def ask():
        with Client(port) as client:
            for _ in range(50):
                if client.ask("POST", "/", b"x").status != 200:
                    failed.append(1)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failed and len(origin.connections) >= 10


# ---- what may have been looked at ----

@pytest.mark.parametrize("code", [NO_ERROR, INTERNAL_ERROR, CANCEL])
def test_a_reset_is_repeated_for_what_is_idempotent_only(h2_scripted, code):
    def script(connection):
        endpoint = H2Endpoint(connection)
        while True:
            request = endpoint.wait_request()
            if connection.number == 0:
                endpoint.reset(request.stream, code)
            else:
                endpoint.answer(request.stream)

    port, origin = h2_scripted(script, 2, algorithm="round_robin")
    with Client(port) as client:
        answers = [client.ask("POST", "/", b"x"), client.get("/"), client.get("/")]
    lines = origin.balancer.wait_access(3)
    assert all(answer.status == 200 for answer in answers[1:])
    if answers[0].status != 200:
        assert lines[0]["reason"] == "upstream_closed" and lines[0]["attempts"] == 1


def test_a_lost_connection_ends_all_that_was_on_it(h2_scripted):
    def script(connection):
        endpoint = H2Endpoint(connection)
        for _ in range(3):
            request = endpoint.wait_request()
        endpoint.head(request.stream, 200, [("content-length", "100")])
        endpoint.data(request.stream, b"begun")
        wait_until(lambda: begun, 20, "the client to have the beginning")

    begun = []
    port, origin = h2_scripted(script, retries=0)
    with RawClient(port) as begins, Client(port) as waits, Client(port) as other:
        for client in (waits, other):
            client.send("POST", "/", b"x")
        wait_until(lambda: endpoint_counter(origin.balancer, "http2_streams_total") == 2, 10)
        begins.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        begins.read_until(b"begun")
        begun.append(True)
        assert waits.receive().status == 502 and other.receive().status == 502
        assert begins.read_to_end() == b""
    assert {line["reason"] for line in origin.balancer.wait_access(3)} == {"upstream_closed"}


def test_a_response_that_is_reset_in_its_middle_is_cut_for_the_client(h2_scripted):
    def script(connection):
        endpoint = H2Endpoint(connection)
        request = endpoint.wait_request()
        endpoint.head(request.stream)
        endpoint.data(request.stream, b"begun")
        wait_until(lambda: begun, 20, "the client to have the beginning")
        endpoint.reset(request.stream, INTERNAL_ERROR)
        endpoint.serve()

    begun = []
    port, origin = h2_scripted(script)
    with H2Client(port) as client:
        client.request(1)
        client.read_until(lambda: client.reply(1).body == b"begun")
        begun.append(True)
        assert client.wait_reply(1).reset == INTERNAL_ERROR
        assert client.get(3).status == 200
    assert len(origin.connections) == 1 and reason_of(origin) == "upstream_closed"


# ---- early answers, and clients that leave ----

def test_an_early_answer_ends_an_upload(h2_scripted):
    """The endpoint says that it does not want the rest (RFC 9113 section 8.1)."""
    def script(connection):
        endpoint = H2Endpoint(connection, opens_windows=False)
        request = endpoint.wait_head()
        endpoint.answer(request.stream, 413, body=b"too much")
        endpoint.reset(request.stream, NO_ERROR)
        endpoint.serve()

    port, _ = h2_scripted(script)
    with RawClient(port) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n" + b"x" * 1000)
        assert client.read_until(b"too much").startswith(b"HTTP/1.1 413 ")
    assert get(port, "/").status == 200


def test_a_client_that_leaves_resets_its_stream_only(h2_scripted):
    codes = []

    def script(connection):
        endpoint = H2Endpoint(connection)
        request = endpoint.wait_request()
        asked.set()
        codes.append(endpoint.wait_reset(request.stream))
        endpoint.serve()

    asked = threading.Event()
    port, origin = h2_scripted(script)
    with RawClient(port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert asked.wait(20)
        client.reset()
    wait_until(lambda: codes, 10, "the reset")
    assert codes == [CANCEL] and get(port, "/").status == 200
    assert len(origin.connections) == 1


def test_of_two_attempts_the_one_that_loses_is_reset(h2_scripted):
    codes = []

    def script(connection):
        endpoint = H2Endpoint(connection)
        while True:
            request = endpoint.wait_request()
            if connection.number == 0 and not codes:
                codes.append(endpoint.wait_reset(request.stream))
            else:
                endpoint.answer(request.stream)

    port, origin = h2_scripted(script, 2, retry={"hedge": "100ms"}, algorithm="round_robin")
    assert get(port, "/").status == 200
    wait_until(lambda: codes, 10, "the reset")
    assert codes == [CANCEL]
    assert [get(port, "/").status for _ in range(4)] == [200] * 4
    assert len(origin.connections) == 2


def test_a_try_that_takes_too_long_goes_elsewhere(h2_scripted):
    def script(connection):
        endpoint = H2Endpoint(connection)
        if connection.number == 0:
            request = endpoint.wait_request()
            endpoint.wait_reset(request.stream)
        endpoint.serve()

    port, _ = h2_scripted(script, 2, algorithm="round_robin",
                          retry={"on": ["connect", "timeout"], "timeout": "300ms"})
    assert get(port, "/").status == 200


# ---- deadlines ----

def test_an_endpoint_without_settings_is_not_connected(h2_scripted):
    def script(connection):
        H2Endpoint(connection, settings=None)
        connection.read_to_end()

    port, origin = h2_scripted(script, timeouts={"connect": "300ms"}, retries=0)
    with Client(port) as client:
        assert client.ask("POST", "/", b"x").status == 504
    assert reason_of(origin) == "connect_timeout"
    assert b"body" not in origin.received


def test_a_silent_endpoint_is_given_up_and_not_asked_again_there(h2_scripted):
    def script(connection):
        endpoint = H2Endpoint(connection)
        if connection.number == 0:
            endpoint.answer(endpoint.wait_request().stream)
            endpoint.wait_reset(endpoint.wait_request().stream)
        endpoint.serve()

    port, origin = h2_scripted(script, timeouts={"response": "300ms"}, retries=0)
    assert [get(port, "/").status for _ in range(3)] == [200, 504, 200]
    assert reason_of(origin, 2) == "upstream_timeout"
    assert len(origin.connections) == 2


def test_connections_that_take_no_requests_do_not_stay(h2_scripted):
    """Once those that waited for room on them have been given up."""
    def script(connection):
        endpoint = H2Endpoint(connection, {3: 0})
        while True:
            endpoint.read_frame()

    port, origin = h2_scripted(script, timeouts={"response": "300ms", "keepalive": "1s"})
    for _ in range(3):
        assert get(port, "/").status == 504
    wait_until(lambda: all(connection.closed for connection in origin.connections), 20,
               "the end of all connections")


def test_a_window_that_stays_shut_ends_the_upload(h2_scripted):
    def script(connection):
        endpoint = H2Endpoint(connection, settings={4: 0}, opens_windows=False)
        endpoint.wait_reset(endpoint.wait_head().stream)
        connection.read_to_end()

    port, origin = h2_scripted(script, timeouts={"idle": "300ms", "response": "300ms"}, retries=0)
    with Client(port) as client:
        assert client.ask("POST", "/", b"x" * 100000).status == 504
        assert client.ask("POST", "/", b"x").status == 504
    assert reason_of(origin) == "upstream_timeout"


# ---- what is malformed ----

HEAD = [(":status", "200")]
BAD_HEADS = {
    "no_status": [("x", "1")],
    "two_statuses": HEAD * 2,
    "bad_status": [(":status", "2000")],
    "switching": [(":status", "101")],
    "late_status": [("x", "1"), (":status", "200")],
    "request_field": [*HEAD, (":path", "/")],
    "upper_case": [*HEAD, ("X-Upper", "1")],
    "connection": [*HEAD, ("connection", "close")],
    "chunked": [*HEAD, ("transfer-encoding", "chunked")],
    "line_feed": [*HEAD, ("x", "a\nb: c")],
    "carriage_return": [*HEAD, ("x", "a\rb")],
    "nul": [*HEAD, ("x", "a\0b")],
    "space_in_name": [*HEAD, ("x y", "1")],
    "empty_name": [*HEAD, ("", "1")],
    "two_lengths": [*HEAD, ("content-length", "2"), ("content-length", "3")],
    "bad_length": [*HEAD, ("content-length", "+2")],
    "large": [*HEAD, *((f"x-{i}", "v" * 1000) for i in range(40))],
}


@pytest.mark.parametrize("kind", BAD_HEADS)
def test_a_malformed_head_is_a_bad_answer(h2_scripted, kind):
    def script(connection):
        endpoint = H2Endpoint(connection)
        stream = endpoint.wait_request().stream
        block = endpoint.headers(stream, BAD_HEADS[kind], end=False)
        if len(block) < 16000:
            endpoint.send(block)
        else:
            payload, first = block[9:], True
            while payload:
                flags = 4 if len(payload) <= 16000 else 0
                endpoint.send(frame(1 if first else 9, flags, stream, payload[:16000]))
                payload, first = payload[16000:], False
        endpoint.data(stream, b"ok", end=True)
        endpoint.serve()

    port, origin = h2_scripted(script)
    answer = get(port, "/")
    assert answer.status == 502 and b"upstream_bad" in answer.body
    assert get(port, "/").status == 200
    assert len(origin.connections) == 1  # it is the stream's fault, not the connection's


@pytest.mark.parametrize("length, body", [(3, b"ab"), (3, b"abcd")])
def test_a_length_that_is_not_the_bodys_is_not_passed_for_whole(h2_scripted, length, body):
    def script(connection):
        endpoint = H2Endpoint(connection)
        stream = endpoint.wait_request().stream
        endpoint.head(stream, 200, [("content-length", str(length))])
        endpoint.data(stream, body, end=True)
        endpoint.serve()

    port, origin = h2_scripted(script)
    with H2Client(port) as client:
        answer = client.get()
        assert not (answer.ended and answer.status == 200)
    assert reason_of(origin) == "upstream_bad"
    assert get(port, "/").status == 200


def test_trailers_with_pseudo_fields_cut_the_response(h2_scripted):
    def script(connection):
        endpoint = H2Endpoint(connection)
        stream = endpoint.wait_request().stream
        endpoint.head(stream)
        endpoint.data(stream, b"abc")
        endpoint.trailers(stream, [(":status", "200")])
        endpoint.serve()

    port, origin = h2_scripted(script)
    with H2Client(port) as client:
        assert client.get().reset == INTERNAL_ERROR
    assert reason_of(origin) == "upstream_bad"


def attack_settings(endpoint, stream):
    del stream
    endpoint.send(frame(4) * 40000)


def attack_pings(endpoint, stream):
    del stream
    endpoint.send(PingFrame(0, b"p" * 8).serialize() * 40000)


def attack_empty_data(endpoint, stream):
    endpoint.head(stream)
    endpoint.send(DataFrame(stream, b"").serialize() * 40000)


def attack_continuations(endpoint, stream):
    block = endpoint.encoder.encode(HEAD)
    endpoint.send(HeadersFrame(stream, block).serialize())
    endpoint.send(ContinuationFrame(stream, b"").serialize() * 20000)


def attack_hpack(endpoint, stream):
    endpoint.send(endpoint.headers(stream, [(":status", "103"), *([("x", "v" * 4000)] * 4000)]))


def attack_push(endpoint, stream):
    endpoint.send(frame(5, 4, stream, b"\0\0\0\2" + endpoint.encoder.encode(
        [(":method", "GET"), (":path", "/"), (":scheme", "http"), (":authority", "a")])))


def attack_window(endpoint, stream):
    del stream
    endpoint.send(frame(8, 0, 0, b"\x7f\xff\xff\xff"))


def attack_frame_size(endpoint, stream):
    endpoint.send(b"\xff\xff\xff\0\0" + stream.to_bytes(4, "big") + b"x" * 100000)


@pytest.mark.parametrize("attack", [attack_settings, attack_pings, attack_empty_data,
                                    attack_continuations, attack_hpack, attack_push, attack_window,
                                    attack_frame_size])
def test_an_endpoint_that_breaks_the_rules_loses_the_connection(h2_scripted, attack):
    def script(connection):
        endpoint = H2Endpoint(connection)
        request = endpoint.wait_request()
        if connection.number == 0:
            attack(endpoint, request.stream)
            connection.read_to_end()
        else:
            endpoint.answer(request.stream)
            endpoint.serve()

    port, origin = h2_scripted(script)
    # Another try, a refusal, or a beginning: nothing that passes for whole and is not.
    answer = raw(port, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert answer.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 502 ")) and b"0\r\n\r\n" not in answer
    assert get(port, "/").status == 200
    wait_until(origin.connections[0].finished.is_set, 20, "the connection's end")


def test_interim_responses_without_end_are_bounded(h2_scripted):
    def script(connection):
        endpoint = H2Endpoint(connection)
        stream = endpoint.wait_request().stream
        for _ in range(100):
            endpoint.send(b"".join(endpoint.headers(stream, [(":status", "103"), ("x", "v" * 100)])
                                   for _ in range(100)))
        endpoint.serve()

    port, _ = h2_scripted(script)
    with RawClient(port, receive_buffer=4096) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        client.read_until(b"HTTP/1.1 502 Bad Gateway")
    assert get(port, "/").status == 200


# ---- endpoints that are not there ----

def test_a_refused_connection_goes_elsewhere(h2_scripted):
    port, origin = h2_scripted(lambda connection: H2Endpoint(connection).serve(), 2,
                               algorithm="round_robin")
    origin.close_listener(0)
    with Client(port) as client:
        for _ in range(4):
            assert client.ask("POST", "/", b"x").status == 200
    assert len(origin.connections) == 1


def test_a_connection_that_is_closed_at_once_was_never_made(h2_scripted):
    """A POST request may go elsewhere: nothing of it has left."""
    def script(connection):
        if connection.number > 0:
            H2Endpoint(connection).serve()

    port, origin = h2_scripted(script, 2, algorithm="round_robin")
    with Client(port) as client:
        assert client.ask("POST", "/", b"x").status == 200
    assert len(origin.connections) == 2


def test_an_idle_connection_that_the_endpoint_closed_is_not_used(h2_scripted):
    def script(connection):
        endpoint = H2Endpoint(connection)
        endpoint.answer(endpoint.wait_request().stream)
        if connection.number > 0:
            endpoint.serve()

    port, origin = h2_scripted(script)
    with Client(port) as client:
        assert client.ask("POST", "/", b"x").status == 200
        assert origin.connections[0].finished.wait(10)
        wait_until(lambda: client.ask("GET", "/").status == 200, 10)
        assert client.ask("POST", "/", b"x").status == 200
    assert len(origin.connections) == 2
