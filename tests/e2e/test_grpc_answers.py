"""Calls of gRPC frame by frame, before endpoints that speak HTTP/1.1: deadlines, quoit's own answers,
the status in log and metrics."""
import socket
import threading
import time

import pytest
from hyperframe.frame import PingFrame, WindowUpdateFrame

from h2_client import CANCEL, ENHANCE_YOUR_CALM, H2Client
from quoit_process import static_pool
from scripted import values_of
from waiting import wait_until

CALL = [("content-type", "application/grpc"), ("te", "trailers")]
MESSAGE = b"\0\0\0\0\2hi"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNK = b"7\r\n" + MESSAGE + b"\r\n"
OK = HEAD + CHUNK + b"0\r\ngrpc-status: 0\r\n\r\n"


@pytest.fixture
def before(scripted):
    """before(script, **pool options): (balancer, origin), with HTTP/2 towards clients."""
    def start(script, configuration=None, **pool):
        _, origin = scripted(script, {"listener": {"http2": "on"}, **(configuration or {})}, **pool)
        return origin.balancer, origin
    return start


def read_body(connection):
    """A whole chunked request; its head."""
    head = connection.read_head()
    connection.read_until(b"0\r\n\r\n")
    return head


def answer_with(answer):
    def script(connection):
        while True:
            read_body(connection)
            connection.send(answer)
    return script


def call(port, *fields, stream=1, client=None, end=True):
    """One call with a message; what came."""
    with client or H2Client(port) as client:
        client.request(stream, "/test.Test/Call", CALL + list(fields), end=False, method="POST")
        client.data(stream, MESSAGE, end=end)
        return client.wait_reply(stream)


def status_of(answer):
    """(grpc-status, grpc-message) of trailers, or of a head alone."""
    fields = dict(answer.trailers[-1] if answer.trailers else answer.heads[-1])
    return fields.get("grpc-status"), fields.get("grpc-message")


def logged(balancer, n=1):
    return balancer.wait_access(n)[-1]


def counted(balancer, code):
    return balancer.metrics().sum("quoit_pool_grpc_responses_total", pool="web", code=code)


# ---- the status in log and metrics ----

def test_a_status_in_trailers_is_logged_and_counted(before):
    balancer, origin = before(answer_with(
        HEAD + CHUNK + b"0\r\ngrpc-status: 8\r\ngrpc-message: too%20much\r\n\r\n"))
    answer = call(balancer.port)
    assert answer.body == MESSAGE and status_of(answer) == ("8", "too%20much")
    line = logged(balancer)
    assert line["grpc_status"] == 8 and line["status"] == 200 and line["reason"] == "ok"
    assert counted(balancer, "RESOURCE_EXHAUSTED") == 1 and counted(balancer, "OK") == 0
    assert values_of(origin.received, b"TE") == [b"trailers"]


def test_a_status_in_the_head_alone_is_logged_and_counted(before):
    balancer, _ = before(answer_with(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n"
        b"grpc-status: 5\r\ngrpc-message: no such thing\r\n\r\n"))
    assert status_of(call(balancer.port)) == ("5", "no such thing")
    assert logged(balancer)["grpc_status"] == 5 and counted(balancer, "NOT_FOUND") == 1


@pytest.mark.parametrize("answer, code", [
    (HEAD + CHUNK + b"0\r\n\r\n", 2),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 2),
    (b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", 12),
    (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno", 14),
])
def test_an_answer_without_a_status_counts_as_clients_take_it(before, answer, code):
    balancer, _ = before(answer_with(answer), retries=0)
    assert status_of(call(balancer.port))[0] is None
    assert logged(balancer)["grpc_status"] == code


def test_other_requests_have_no_status(before):
    balancer, _ = before(answer_with(OK))
    with H2Client(balancer.port) as client:
        client.request(1, "/", [("content-type", "application/json")], end=False, method="POST")
        client.data(1, b"{}", end=True)
        client.wait_reply(1)
    assert "grpc_status" not in logged(balancer)
    assert "pool_grpc_responses_total{" not in balancer.metrics().text


def test_a_call_that_its_client_gives_up_counts_as_cancelled(before):
    balancer, origin = before(lambda connection: connection.read_to_end())
    with H2Client(balancer.port) as client:
        client.request(1, "/test.Test/Call", CALL, end=False, method="POST")
        client.data(1, MESSAGE)
        origin.wait_received(MESSAGE)
        client.reset(1, CANCEL)
        line = logged(balancer)
    assert line["grpc_status"] == 1 and line["reason"] == "client_gone"
    wait_until(lambda: origin.connections[0].closed)


# ---- quoit's own answers ----

def refusing_address():
    """An address at which nobody listens, and the socket that keeps it so."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return "%s:%d" % sock.getsockname(), sock


def assert_trailers_only(answer, code, message):
    assert answer.ended and answer.body == b"" and len(answer.heads) == 1
    fields = dict(answer.heads[0])
    assert fields[":status"] == "200" and fields["content-type"] == "application/grpc"
    assert (fields["grpc-status"], fields["grpc-message"]) == (str(code), message)


def test_a_refused_connection_is_unavailable(quoit):
    address, sock = refusing_address()
    with sock:
        balancer = quoit({"listener": {"http2": "on"}, "workers": 1,
                          "pools": {"web": static_pool([address])}})
        assert_trailers_only(call(balancer.port), 14, "quoit: connect_refused")
        line = logged(balancer)
    assert line["grpc_status"] == 14 and line["status"] == 200
    assert line["reason"] == "connect_refused" and counted(balancer, "UNAVAILABLE") == 1


def test_a_path_without_a_route_is_unimplemented(before):
    balancer, _ = before(answer_with(OK), {"routes": [{"path": "/other", "pool": "web"}]})
    assert_trailers_only(call(balancer.port), 12, "quoit: no_route")
    assert logged(balancer)["grpc_status"] == 12


def test_a_full_queue_is_unavailable(before):
    balancer, origin = before(lambda connection: connection.read_to_end(), max_connections=1,
                              queue=0)
    with H2Client(balancer.port) as first:
        first.request(1, "/test.Test/Call", CALL, end=False, method="POST")
        first.data(1, MESSAGE)
        origin.wait_received(MESSAGE)
        assert_trailers_only(call(balancer.port), 14, "quoit: queue_full")


def test_a_message_that_is_too_large_is_resource_exhausted(before):
    balancer, _ = before(answer_with(OK), {"client": {"max_body_size": "1k"}})
    with H2Client(balancer.port) as client:
        fields = CALL + [("content-length", "5000")]
        client.request(1, "/test.Test/Call", fields, end=False, method="POST")
        assert_trailers_only(client.wait_reply(1), 8, "quoit: body_too_large")


def test_an_endpoint_that_closes_without_an_answer_is_unavailable_and_not_asked_again(before):
    def script(connection):
        read_body(connection)

    balancer, origin = before(script, retries=3)
    assert_trailers_only(call(balancer.port), 14, "quoit: upstream_closed")
    assert len(origin.connections) == 1


def test_an_answer_that_breaks_off_ends_in_trailers_that_say_so(before):
    def script(connection):
        read_body(connection)
        connection.send(HEAD + CHUNK)

    balancer, _ = before(script)
    answer = call(balancer.port)
    assert answer.ended and answer.reset is None and answer.body == MESSAGE
    assert status_of(answer) == ("14", "quoit: upstream_closed")
    line = logged(balancer)
    assert line["grpc_status"] == 14 and line["reason"] == "upstream_closed"


def test_an_answer_that_breaks_off_inside_a_chunk_has_no_better_end_than_others(before):
    def script(connection):
        read_body(connection)
        connection.send(HEAD + b"7\r\n" + MESSAGE[:3])

    balancer, _ = before(script)
    answer = call(balancer.port)
    assert answer.done and not (answer.ended and status_of(answer)[0] == "0")
    assert logged(balancer)["grpc_status"] == 14


# ---- deadlines ----

def test_a_calls_own_timeout_is_its_deadline(before):
    balancer, origin = before(lambda connection: connection.read_to_end())
    assert_trailers_only(call(balancer.port, ("grpc-timeout", "1500m")), 4, "quoit: total_timeout")
    line = logged(balancer)
    assert line["grpc_status"] == 4 and 1500e3 <= line["total_us"]
    assert counted(balancer, "DEADLINE_EXCEEDED") == 1
    wait_until(lambda: origin.connections[0].closed)


def test_the_deadline_also_ends_an_answer_that_has_begun(before):
    def script(connection):
        read_body(connection)
        connection.send(HEAD + CHUNK)
        connection.read_to_end()

    balancer, _ = before(script)
    answer = call(balancer.port, ("grpc-timeout", "1500m"))
    assert answer.ended and answer.body == MESSAGE
    assert status_of(answer) == ("4", "quoit: total_timeout")


def test_the_pools_deadline_holds_if_it_is_the_shorter_one(before):
    balancer, origin = before(lambda connection: connection.read_to_end(),
                              timeouts={"total": "2s"})
    assert_trailers_only(call(balancer.port, ("grpc-timeout", "1H")), 4, "quoit: total_timeout")
    assert_left(origin.received, 2000000)


def assert_left(received, most_us):
    """The endpoint was told a part of this time, and once."""
    [value] = values_of(received, b"grpc-timeout")
    assert value.endswith(b"u") and 0 < int(value[:-1]) <= most_us


def test_the_endpoint_is_told_what_is_left_of_the_timeout(before):
    balancer, origin = before(answer_with(OK))
    assert status_of(call(balancer.port, ("grpc-timeout", "90S")))[0] == "0"
    assert_left(origin.received, 90000000)


@pytest.mark.parametrize("timeout", ["0S", "5s", "123456789m", "soon"])
def test_a_timeout_that_is_none_is_passed_on_and_else_ignored(before, timeout):
    balancer, origin = before(answer_with(OK))
    assert status_of(call(balancer.port, ("grpc-timeout", timeout)))[0] == "0"
    assert values_of(origin.received, b"grpc-timeout") == [timeout.encode()]


def test_a_call_without_a_timeout_gets_none(before):
    balancer, origin = before(answer_with(OK), timeouts={"total": "50s"})
    assert status_of(call(balancer.port))[0] == "0"
    assert b"grpc-timeout" not in origin.received


# ---- silence ----

def test_before_http_1_a_client_may_not_be_silent_for_longer_than_others(before):
    balancer, _ = before(lambda connection: connection.read_to_end(),
                         {"client": {"body_timeout": "300ms"}})
    assert_trailers_only(call(balancer.port, end=False), 2, "quoit: client_timeout")


# ---- what gRPC clients send beside ----

def test_a_ping_and_small_windows_for_each_message_are_no_flood(before):
    """As gRPC's Go library measures its connection."""
    count = 2000

    def script(connection):
        read_body(connection)
        connection.send(HEAD)
        for _ in range(count):
            connection.send(CHUNK)
            received.acquire(timeout=10)
        connection.send(b"0\r\ngrpc-status: 0\r\n\r\n")

    received = threading.Semaphore(0)
    balancer, _ = before(script)
    with H2Client(balancer.port) as client:
        client.request(1, "/test.Test/Call", CALL, end=False, method="POST")
        client.data(1, MESSAGE, end=True)
        for i in range(count):
            client.read_until(lambda i=i: len(client.reply(1).body) > i * len(MESSAGE))
            client.send_frames(WindowUpdateFrame(0, window_increment=len(MESSAGE)),
                               WindowUpdateFrame(1, window_increment=len(MESSAGE)),
                               PingFrame(0, b"measured"))
            received.release()
        assert status_of(client.wait_reply(1))[0] == "0" and client.goaways == []


def test_calls_that_are_given_up_when_their_time_is_over_are_no_attack(before):
    """Of an endpoint that has become slow a client's calls all end so."""
    balancer, _ = before(lambda connection: connection.read_to_end())
    with H2Client(balancer.port) as client:
        for wave in range(9):
            streams = [2 * (wave * 90 + i) + 1 for i in range(90)]
            for stream in streams:
                client.request(stream, "/test.Test/Call", CALL + [("grpc-timeout", "400m")],
                               method="POST")
            begun = time.monotonic()
            wait_until(lambda begun=begun: time.monotonic() - begun > 0.25)
            for stream in streams:
                client.reset(stream)
        client.ping()
        assert client.goaways == []


def test_calls_that_are_given_up_at_once_are_one(before):
    balancer, _ = before(lambda connection: connection.read_to_end())
    with H2Client(balancer.port) as client:
        for stream in range(1, 4001, 2):
            client.request(stream, "/test.Test/Call", CALL + [("grpc-timeout", "1H")],
                           method="POST")
            client.reset(stream)
            if stream % 100 == 1 and client.fill(0.001) and client.goaways:
                break
        client.wait_goaway(ENHANCE_YOUR_CALM)
