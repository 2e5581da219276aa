"""gRPC end to end: a real client, quoit, real servers."""
import concurrent.futures
import signal
import threading
import time

import grpc
import pytest

from certificates import Authority
from grpc_server import (MAX_MESSAGE, GrpcClient, GrpcProcess, GrpcServer, Health, Messages,
                         Service)
from quoit_process import static_pool
from waiting import wait_until

TIMEOUT = 30  # of every call that is to succeed


@pytest.fixture
def serve():
    """serve(service, …) starts a server in threads; all are closed in the end."""
    started = []

    def start(*services, **more):
        started.append(GrpcServer(*(service.handler for service in services), **more))
        return started[-1]

    yield start
    for server in started:
        server.close().wait(10)


@pytest.fixture
def serve_process():
    """serve_process(name): the same in a process, which can be killed."""
    started = []

    def start(name):
        started.append(GrpcProcess(name))
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.fixture
def connect():
    """connect(balancer) opens a channel; all are closed in the end."""
    started = []

    def start(balancer, **more):
        started.append(GrpcClient(balancer.port, **more))
        return started[-1]

    yield start
    for client in started:
        client.close()


@pytest.fixture
def before(quoit):
    """before([servers], configuration, **pool options) starts a balancer."""
    def start(servers, configuration=None, **pool):
        return quoit({"listener": {"http2": "on"}, "workers": 2, **(configuration or {}),
                      "pools": {"web": static_pool(servers, **{"http2": "only", **pool})}})
    return start


@pytest.fixture
def service():
    one = Service()
    yield one
    one.go.set()  # no thread of a server stays behind


@pytest.fixture
def client(before, serve, connect, service):
    """A channel through a balancer to a server of service."""
    balancer = before([serve(service)])
    one = connect(balancer)
    one.balancer = balancer
    return one


def code_of(call):
    """What a call ends with."""
    try:
        call.result(TIMEOUT)
    except grpc.RpcError:
        pass
    return call.code()


# ---- the four kinds of calls ----

def test_a_unary_call_with_metadata_both_ways(client, service):
    sent = (("x-plain", "value"), ("x-raw-bin", bytes(range(256))))
    answer, call = client.echo.with_call(b"hello", metadata=sent, timeout=TIMEOUT)
    assert answer == b"hello" and call.code() is grpc.StatusCode.OK
    [(_, received)] = service.calls
    assert (received["x-plain"], received["x-raw-bin"]) == ("value", bytes(range(256)))
    initial, trailing = dict(call.initial_metadata()), dict(call.trailing_metadata())
    assert (initial["x-plain"], initial["x-raw-bin"]) == ("value", bytes(range(256)))
    assert (trailing["tx-plain"], trailing["tx-raw-bin"]) == ("value", bytes(range(256)))
    [line] = client.balancer.wait_access(1)
    assert line["grpc_status"] == 0 and line["target"] == "/test.Test/Echo"


def test_an_empty_message_is_a_message(client):
    assert client.echo(b"", timeout=TIMEOUT) == b""


def test_messages_of_a_server_come_before_its_stream_ends(client, service):
    call = client.count(b"3", timeout=TIMEOUT)
    assert next(call) == b"0"  # the second one has not been sent
    service.go.set()
    assert list(call) == [b"1", b"2"] and call.code() is grpc.StatusCode.OK


def test_messages_of_a_client_come_before_its_stream_ends(client, service):
    messages = Messages()
    call = client.collect.future(messages, timeout=TIMEOUT)
    messages.put(b"one")
    wait_until(lambda: service.got == [b"one"])
    messages.put(b"three")
    wait_until(lambda: service.got == [b"one", b"three"])
    messages.end()
    assert call.result(TIMEOUT) == b"8"


def test_a_server_may_answer_before_its_client_has_said_all(client, service):
    messages = Messages()
    call = client.refuse.future(messages, timeout=TIMEOUT)
    messages.put(b"a")
    assert code_of(call) is grpc.StatusCode.INVALID_ARGUMENT and call.details() == "not this"
    messages.end()
    [line] = client.balancer.wait_access(1)
    assert line["grpc_status"] == 3
    assert client.echo(b"b", timeout=TIMEOUT) == b"b"


def test_both_sides_talk_in_turns(client):
    messages = Messages()
    call = client.chat(messages, timeout=TIMEOUT)
    for i in range(200):
        messages.put(b"%d" % i)
        assert next(call) == b"re: %d" % i
    messages.end()
    assert list(call) == [] and call.code() is grpc.StatusCode.OK


def test_a_stream_of_many_messages_is_whole(client):
    count = 5000
    call = client.chat((b"%d" % i for i in range(count)), timeout=TIMEOUT)
    assert [int(answer[4:]) for answer in call] == list(range(count))


@pytest.mark.parametrize("size", [1, 16383, 65535, 65536, 4 << 20, 15 << 20])
def test_messages_of_any_size_pass_both_ways(client, size):
    message = bytes(i * 7 & 255 for i in range(256)) * (size // 256) + b"x" * (size % 256)
    assert client.echo(message, timeout=TIMEOUT) == message


def test_large_messages_of_a_stream_meet_back_pressure_and_pass(client, service):
    message = b"x" * (1 << 20)
    assert client.collect(iter([message] * 24), timeout=TIMEOUT) == b"%d" % (24 << 20)
    assert [len(got) for got in service.got] == [1 << 20] * 24


def test_compressed_messages_pass(client):
    answer = client.echo(b"a" * 100000, timeout=TIMEOUT, compression=grpc.Compression.Gzip)
    assert answer == b"a" * 100000


# ---- statuses ----

@pytest.mark.parametrize("code", [c for c in grpc.StatusCode if c is not grpc.StatusCode.OK])
def test_every_status_passes_unchanged(client, code):
    words = "größer als 100 %: \t\"\\"
    call = client.fail.future(f"{code.value[0]} {words}".encode(), timeout=TIMEOUT)
    assert code_of(call) is code
    assert call.details() == words
    assert dict(call.trailing_metadata())["x-why-bin"] == b"\0\xff"
    [line] = client.balancer.wait_access(1)
    assert line["grpc_status"] == code.value[0] and line["reason"] == "ok"
    assert client.balancer.metrics().sum("quoit_pool_grpc_responses_total", code=code.name) == 1


def test_a_method_that_the_server_does_not_have_is_unimplemented(client):
    call = client.channel.unary_unary("/test.Test/None").future(b"", timeout=TIMEOUT)
    assert code_of(call) is grpc.StatusCode.UNIMPLEMENTED


def test_without_an_endpoint_a_call_is_unavailable(before, connect):
    balancer = before(["127.0.0.1:1"])
    call = connect(balancer).echo.future(b"", timeout=TIMEOUT)
    assert code_of(call) is grpc.StatusCode.UNAVAILABLE
    assert call.details() == "quoit: connect_refused"


def test_a_large_message_that_nobody_takes_is_answered_too(before, connect):
    client = connect(before(["127.0.0.1:1"]))
    for _ in range(5):
        call = client.echo.future(b"x" * (4 << 20), timeout=TIMEOUT)
        assert code_of(call) is grpc.StatusCode.UNAVAILABLE
        assert call.details() == "quoit: connect_refused"


def test_a_message_above_the_balancers_limit_is_resource_exhausted(before, serve, connect, service):
    client = connect(before([serve(service)], {"client": {"max_body_size": "100k"}}))
    call = client.echo.future(b"x" * (1 << 20), timeout=TIMEOUT)
    assert code_of(call) is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert call.details() == "quoit: body_too_large"
    assert client.echo(b"x" * 50000, timeout=TIMEOUT) == b"x" * 50000


def test_a_message_above_the_servers_limit_is_what_the_server_says(client):
    call = client.echo.future(b"x" * (MAX_MESSAGE + 1000), timeout=TIMEOUT)
    assert code_of(call) is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max" in call.details()
    assert client.echo(b"b", timeout=TIMEOUT) == b"b"


def test_a_stream_of_more_than_the_balancers_limit_ends_with_a_status(before, serve, connect,
                                                                      service):
    """Its answer has begun; what says why comes in its trailers."""
    client = connect(before([serve(service)], {"client": {"max_body_size": "100k"}}))
    messages = Messages()
    call = client.chat(messages, timeout=TIMEOUT)
    messages.put(b"a")
    assert next(call) == b"re: a"
    messages.put(b"x" * 200000)
    with pytest.raises(grpc.RpcError):
        next(call)
    assert call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert call.details() == "quoit: body_too_large" and service.cancelled.wait(10)
    messages.end()


# ---- deadlines and cancellation ----

def test_a_deadline_reaches_the_server_and_ends_there(client, service):
    call = client.wait.future(b"", timeout=3)
    assert code_of(call) is grpc.StatusCode.DEADLINE_EXCEEDED
    assert service.cancelled.wait(10)
    [line] = client.balancer.wait_access(1)
    assert line["grpc_status"] in (1, 4)  # whether the client or quoit was first


def test_the_pools_deadline_is_told_as_one(before, serve, connect, service):
    """By quoit or by the server, which knows it: whoever is first."""
    balancer = before([serve(service)], timeouts={"total": "2s"})
    call = connect(balancer).wait.future(b"", timeout=TIMEOUT)
    assert code_of(call) is grpc.StatusCode.DEADLINE_EXCEEDED
    assert service.cancelled.wait(10)


def test_a_client_that_gives_up_cancels_the_call_at_the_server(client, service):
    call = client.wait.future(b"", timeout=TIMEOUT)
    wait_until(lambda: service.calls)
    call.cancel()
    assert service.cancelled.wait(10)
    [line] = client.balancer.wait_access(1)
    assert line["grpc_status"] == 1 and line["reason"] == "client_gone"


def test_a_stream_that_is_given_up_is_cancelled_at_the_server(client, service):
    messages = Messages()
    call = client.chat(messages, timeout=TIMEOUT)
    messages.put(b"a")
    assert next(call) == b"re: a"
    call.cancel()
    assert service.cancelled.wait(10)
    messages.end()
    # The connection of the channel goes on.
    assert client.echo(b"b", timeout=TIMEOUT) == b"b"


def test_a_stream_may_be_silent_for_longer_than_a_body_may(before, serve, connect, service):
    balancer = before([serve(service)], {"client": {"body_timeout": "300ms"}})
    messages = Messages()
    call = connect(balancer).chat(messages, timeout=TIMEOUT)
    messages.put(b"a")
    assert next(call) == b"re: a"
    begun = time.monotonic()
    wait_until(lambda: time.monotonic() - begun > 1)
    messages.put(b"b")
    assert next(call) == b"re: b"
    messages.end()
    assert list(call) == []


def test_silence_of_both_sides_ends_a_stream(before, serve, connect, service):
    balancer = before([serve(service)], timeouts={"idle": "2s"})
    messages = Messages()
    call = connect(balancer).chat(messages, timeout=TIMEOUT)
    messages.put(b"a")
    assert next(call) == b"re: a"
    with pytest.raises(grpc.RpcError):
        next(call)
    assert call.code() is grpc.StatusCode.UNAVAILABLE
    assert call.details() == "quoit: upstream_timeout" and service.cancelled.wait(10)
    messages.end()


def test_a_server_that_says_nothing_to_a_stream_ends_it_too(before, serve, connect, service):
    balancer = before([serve(service)], timeouts={"idle": "2s"})
    messages = Messages()
    call = connect(balancer).collect.future(messages, timeout=TIMEOUT)
    messages.put(b"a")
    assert code_of(call) is grpc.StatusCode.UNAVAILABLE
    assert call.details() == "quoit: upstream_timeout" and service.got == [b"a"]
    messages.end()


# ---- many ----

def test_many_calls_share_one_channel(client, service):
    calls = [client.echo.future(b"%d" % i, timeout=TIMEOUT) for i in range(1000)]
    assert [call.result(TIMEOUT) for call in calls] == [b"%d" % i for i in range(1000)]
    assert client.balancer.metrics().sum("quoit_client_connections_total") == 1
    assert len(service.calls) == 1000


def test_many_streams_talk_at_once(client):
    streams = [Messages() for _ in range(50)]
    calls = [client.chat(messages, timeout=TIMEOUT) for messages in streams]
    for turn in range(10):
        for messages in streams:
            messages.put(b"%d" % turn)
        assert [next(call) for call in calls] == [b"re: %d" % turn] * 50
    for messages in streams:
        messages.end()
    assert [call.code() for call in calls] == [grpc.StatusCode.OK] * 50


def test_the_same_metadata_goes_to_the_same_server(before, serve, connect):
    services = [Service(f"server{i}") for i in range(3)]
    balancer = before([serve(one) for one in services], hash_key="header:x-tenant")
    clients = [connect(balancer) for _ in range(2)]
    homes = {}
    for i in range(60):
        tenant = f"tenant{i % 20}"
        name = clients[i % 2].who(b"", metadata=(("x-tenant", tenant),), timeout=TIMEOUT)
        assert homes.setdefault(tenant, name) == name
    assert len(set(homes.values())) > 1


# ---- servers that go ----

class Load:
    """Calls from several threads until it is stopped; what they ended with other than OK."""

    def __init__(self, clients, n_threads=4):
        self.failures, self.n_done = [], 0
        self._stop = threading.Event()
        self._pool = concurrent.futures.ThreadPoolExecutor(n_threads)
        for i in range(n_threads):
            self._pool.submit(self._run, clients[i % len(clients)])

    def _run(self, client):
        while not self._stop.is_set():
            call = client.who.future(b"", timeout=TIMEOUT)
            if code_of(call) is not grpc.StatusCode.OK:
                self.failures.append((call.code(), call.details()))
            self.n_done += 1

    def more(self, n):
        """Waits until so many further calls have ended."""
        until = self.n_done + n
        wait_until(lambda: self.n_done >= until, 30)

    def stop(self):
        self._stop.set()
        self._pool.shutdown()
        return self.failures


def test_a_server_that_shuts_down_gracefully_fails_no_call(before, serve, connect):
    """But for those that it cancels itself, as this server does also to clients of its own."""
    services = [Service(f"server{i}") for i in range(2)]
    servers = [serve(one) for one in services]
    balancer = before(servers, algorithm="round_robin")
    load = Load([connect(balancer) for _ in range(2)])
    load.more(200)
    servers[0].close(grace=20).wait(25)
    load.more(200)
    failures = load.stop()
    assert {code for code, _ in failures} <= {grpc.StatusCode.CANCELLED} and len(failures) < 10
    assert {line["reason"] for line in balancer.wait_access(load.n_done)} == {"ok"}
    assert all(one.calls for one in services)


def test_a_server_that_renews_its_connections_all_the_time_fails_no_call(before, serve, connect,
                                                                         service):
    server = serve(service, max_connection_age_ms=200, max_connection_age_grace_ms=20000)
    balancer = before([server])
    load = Load([connect(balancer) for _ in range(2)])
    try:
        wait_until(lambda: balancer.metrics().sum("quoit_endpoint_connects_total") >= 8, 30)
    finally:
        failures = load.stop()
    assert failures == []


def test_a_server_that_takes_few_calls_at_a_time_gets_more_connections(before, serve, connect,
                                                                       service):
    balancer = before([serve(service, max_concurrent_streams=4)], {"workers": 1})
    client = connect(balancer)
    calls = [client.wait.future(b"%d" % i, timeout=TIMEOUT) for i in range(20)]
    wait_until(lambda: len(service.calls) == 20)
    service.go.set()
    assert [call.result(TIMEOUT) for call in calls] == [b"%d" % i for i in range(20)]
    assert balancer.metrics().sum("quoit_endpoint_connects_total") >= 5


def test_a_running_stream_outlives_its_servers_goaway(before, serve, connect, service):
    server = serve(service)
    client = connect(before([server]))
    messages = Messages()
    call = client.chat(messages, timeout=TIMEOUT)
    messages.put(b"a")
    assert next(call) == b"re: a"
    ended = server.close(grace=20)
    messages.put(b"b")
    assert next(call) == b"re: b"
    messages.end()
    assert list(call) == [] and ended.wait(20)


def test_a_call_of_a_server_that_is_killed_fails_and_is_not_made_again(before, serve_process,
                                                                        connect):
    servers = [serve_process(f"server{i}") for i in range(2)]
    balancer = before(servers, algorithm="round_robin", retries=3)
    client = connect(balancer)
    messages = [Messages() for _ in range(2)]
    calls = [client.chat(one, timeout=TIMEOUT) for one in messages]
    for one, call in zip(messages, calls):
        one.put(b"a")
        assert next(call) == b"re: a"
    servers[0].kill()
    # One of the two breaks off and says so; the other goes on.
    wait_until(lambda: any(call.done() for call in calls))
    [broken] = [call for call in calls if call.done()]
    assert broken.code() is grpc.StatusCode.UNAVAILABLE
    assert broken.details() == "quoit: upstream_closed"
    going = 1 - calls.index(broken)
    messages[going].put(b"b")
    assert next(calls[going]) == b"re: b"
    for one in messages:
        one.end()
    # Calls that begin now find the server that is left.
    assert [client.who(b"", timeout=TIMEOUT) for _ in range(10)] == [b"server1"] * 10


def test_draining_ends_no_call_early(client, service):
    messages = Messages()
    call = client.chat(messages, timeout=TIMEOUT)
    messages.put(b"a")
    assert next(call) == b"re: a"
    client.balancer.signal(signal.SIGTERM)
    wait_until(lambda: client.balancer.admin("/readyz")[0] != 200)
    messages.put(b"b")
    assert next(call) == b"re: b"
    messages.end()
    assert list(call) == [] and call.code() is grpc.StatusCode.OK
    assert client.balancer.process.wait(20) == 0


# ---- TLS ----

def test_tls_on_both_sides(quoit, serve, connect, service, tmp_path):
    authority = Authority(tmp_path)
    server = serve(service, Health(), pair=authority.issue("origin.test", "DNS:origin.test"))
    front = authority.issue("front.test", "DNS:front.test")
    balancer = quoit({
        "listener": {"tls": {"certificates": [front.conf]}}, "workers": 1,
        "pools": {"web": static_pool([server], http2="on", tls={
            "ca_file": str(authority.cert), "server_name": "origin.test"},
            health_check={"type": "grpc", "interval": "10s"})}})
    client = connect(balancer, ca=authority.cert, name="front.test")
    assert client.echo(b"x" * 100000, timeout=TIMEOUT) == b"x" * 100000
    messages = Messages()
    call = client.chat(messages, timeout=TIMEOUT)
    for i in range(20):
        messages.put(b"%d" % i)
        assert next(call) == b"re: %d" % i
    messages.end()
    assert list(call) == []
    assert {line["alpn"] for line in balancer.wait_access(2)} == {"h2"}
