"""HTTP/2 towards endpoints: requests, bodies, trailers, windows, limits, and a choice by TLS."""
import subprocess
import threading

import pytest
from hyperframe.frame import SettingsFrame

from certificates import Authority
from h2_client import H2Client
from h2_origin import H2Endpoint, window
from http_client import Client, RawClient, get
from ports import free_port, listeners
from quoit_process import static_pool
from test_tls_endpoints import TlsOrigin
from waiting import wait_until

BASE = {"listener": {"http2": "on"}}
BIG = bytes(range(256)) * 4000


@pytest.fixture
def h2_scripted(scripted):
    """A balancer that speaks nothing but HTTP/2 to a scripted origin: (port, origin)."""
    def start(script, client=None, **pool):
        return scripted(script, {**BASE, "client": client or {}}, http2="only", **pool)
    return start


@pytest.fixture
def nghttpd(tmp_path):
    """nghttpd(*options) starts the reference server over a folder of files: (port, folder)."""
    started = []

    def start(*options):
        port, folder = free_port(), tmp_path / "www"
        folder.mkdir(exist_ok=True)
        (folder / "big").write_bytes(BIG)
        (folder / "small").write_bytes(b"small")
        # pylint: disable-next=consider-using-with
        started.append(subprocess.Popen(
            ["nghttpd", "-a", "127.0.0.1", "-d", str(folder), "--echo-upload", str(port), *options],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        wait_until(lambda: listeners(port), 10, "nghttpd")
        return port

    yield start
    for process in started:
        process.kill()
        process.wait()


def endpoint_counter(balancer, name):
    return balancer.metrics().sum(f"quoit_endpoint_{name}")


# ---- requests ----

def test_an_endpoint_gets_an_exact_head(h2_scripted):
    heads = []

    def script(connection):
        endpoint = H2Endpoint(connection)
        for _ in range(2):
            request = endpoint.wait_request()
            heads.append(request.head)
            endpoint.answer(request.stream)
        connection.read_to_end()

    port, _ = h2_scripted(script)
    with RawClient(port) as client:
        client.send(b"GET /a?b=c HTTP/1.1\r\nHost: some.test\r\nX-Mixed: A\r\n"
                    b"Cookie: a=b; c=d\r\nConnection: x-hop, te\r\nX-Hop: 1\r\n"
                    b"Keep-Alive: 5\r\nTE: trailers\r\nProxy-Connection: x\r\n\r\n")
        answer = client.read_until(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and b"\r\nVia: 2.0 quoit\r\n" in answer
    assert heads[0][:4] == [(":method", "GET"), (":scheme", "http"), (":path", "/a?b=c"),
                            (":authority", "some.test")]
    fields = dict(heads[0])
    assert fields["x-mixed"] == "A" and fields["cookie"] == "a=b; c=d"
    assert fields["te"] == "trailers" and fields["via"] == "1.1 quoit"
    gone = {"host", "connection", "x-hop", "keep-alive", "proxy-connection", "transfer-encoding"}
    assert not gone & set(fields)
    with H2Client(port) as client:
        assert client.get(path="/x", fields=[("x-y", "z")]).status == 200
    assert dict(heads[1])["x-y"] == "z" and dict(heads[1])[":authority"] == f"127.0.0.1:{port}"


def test_requests_of_many_clients_share_one_connection(h2_scripted):
    def script(connection):
        endpoint = H2Endpoint(connection)
        waiting = [endpoint.wait_request() for _ in range(20)]
        for request in reversed(waiting):
            endpoint.answer(request.stream, body=request.fields[":path"].encode())
        endpoint.serve()

    port, origin = h2_scripted(script)
    clients = [Client(port) for _ in range(20)]
    for i, client in enumerate(clients):
        client.send("GET", f"/{i}")
    for i, client in enumerate(clients):
        assert client.receive().body == b"/%d" % i
        client.connection.close()
    assert len(origin.connections) == 1
    assert endpoint_counter(origin.balancer, "http2_connections_total") == 1
    assert endpoint_counter(origin.balancer, "http2_streams_total") == 20
    assert endpoint_counter(origin.balancer, "sent_bytes_total") > 0


@pytest.mark.parametrize("n", [0, 10, 200000])
@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_arrive_and_are_answered(h2_scripted, n, chunked):
    body = b"b" * n
    def script(connection):
        endpoint = H2Endpoint(connection)
        while True:
            request = endpoint.wait_request()
            fields = [("x-length", request.fields.get("content-length", "none"))]
            endpoint.head(request.stream, 200, fields)
            for at in range(0, len(request.body), 10000):
                endpoint.data(request.stream, request.body[at:at + 10000])
            endpoint.data(request.stream, b"", end=True)

    port, _ = h2_scripted(script)
    with Client(port) as client:
        for _ in range(2):
            answer = client.ask("POST", "/", iter([body]) if chunked else body)
            assert answer.body == body
            assert answer.header("x-length") == ("none" if chunked else str(len(body)))


def test_trailers_pass_both_ways(h2_scripted):
    seen = []

    def script(connection):
        endpoint = H2Endpoint(connection)
        while True:
            request = endpoint.wait_request()
            seen.append(request.trailers)
            endpoint.head(request.stream)
            endpoint.data(request.stream, b"abc")
            endpoint.trailers(request.stream, [("x-sum", "17")])

    port, _ = h2_scripted(script)
    with H2Client(port) as client:
        client.request(1, method="POST", end=False)
        client.data(1, b"body")
        client.send(client.headers(1, [("x-check", "4")]))
        answer = client.wait_reply(1)
        assert answer.body == b"abc" and answer.trailers == [[("x-sum", "17")]]
    assert seen == [[("x-check", "4")]]
    with RawClient(port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n")
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        assert client.read_until(b"0\r\nx-sum: 17\r\n\r\n").startswith(b"3\r\nabc\r\n")


def test_interim_responses_pass(h2_scripted):
    def script(connection):
        endpoint = H2Endpoint(connection)
        while True:
            request = endpoint.wait_request()
            endpoint.head(request.stream, 103, [("link", "</a.css>")])
            endpoint.head(request.stream, 103, [("link", "</b.css>")])
            endpoint.answer(request.stream, body=b"final")

    port, _ = h2_scripted(script)
    with H2Client(port) as client:
        answer = client.get()
        assert answer.statuses == [103, 103, 200] and answer.body == b"final"
    with RawClient(port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        for status in (b"103", b"103", b"200"):
            assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 " + status)


def test_the_client_is_asked_for_a_body_it_holds_back(h2_scripted):
    def script(connection):
        endpoint = H2Endpoint(connection)
        request = endpoint.wait_head()
        assert request.fields["expect"] == "100-continue"
        endpoint.head(request.stream, 100)
        endpoint.read_until(lambda: request.ended)
        endpoint.answer(request.stream, body=request.body)
        connection.read_to_end()

    port, _ = h2_scripted(script)
    with RawClient(port) as client:
        client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n"
                    b"Expect: 100-continue\r\n\r\n")
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        client.send(b"body")
        assert client.read_until(b"\r\n\r\nbody").startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("status, fields, method", [
    (204, (), "GET"), (304, (("content-length", "100"),), "GET"), (200, (), "GET"),
    (200, (("content-length", "100"),), "HEAD"), (200, (), "HEAD")])
def test_answers_without_a_body_leave_the_client_connected(h2_scripted, status, fields, method):
    def script(connection):
        endpoint = H2Endpoint(connection)
        while True:
            endpoint.head(endpoint.wait_request().stream, status, fields, end=True)

    port, _ = h2_scripted(script)
    with Client(port) as client:
        for _ in range(2):
            answer = client.ask(method, "/")
            assert answer.status == status and answer.body == b"" and not answer.will_close


def test_a_request_to_upgrade_is_not_for_such_an_endpoint(h2_scripted):
    port, origin = h2_scripted(lambda connection: None)
    with RawClient(port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n"
                    b"Upgrade: websocket\r\n\r\n")
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 501 ")
    assert origin.balancer.wait_access(1)[0]["reason"] == "protocol_unknown"
    assert not origin.connections


# ---- windows ----

def test_an_upload_waits_for_the_endpoints_window(h2_scripted):
    opened, went = threading.Event(), []

    def script(connection):
        endpoint = H2Endpoint(connection, opens_windows=False)
        request = endpoint.wait_head()
        endpoint.read_until(lambda: len(request.body) == 65535)
        went.append(True)
        opened.wait(20)
        endpoint.opens_windows = True
        endpoint.send(window(0, 65535) + window(request.stream, 65535))
        endpoint.read_until(lambda: request.ended)
        endpoint.answer(request.stream, body=str(len(request.body)).encode())
        connection.read_to_end()

    port, _ = h2_scripted(script)
    with Client(port) as client:
        thread = threading.Thread(target=client.send, args=("POST", "/", b"u" * 3000000))
        thread.start()
        wait_until(lambda: went, 20, "the window to be used up")
        opened.set()
        thread.join(20)
        assert client.receive().body == b"3000000"


def test_a_client_that_does_not_read_holds_up_nobody_else(h2_scripted):
    """And its endpoint sends no more than the stream's window."""
    stopped = threading.Event()

    def script(connection):
        endpoint = H2Endpoint(connection)
        sent = 0
        slow = endpoint.wait_request().stream
        endpoint.head(slow)
        window_bytes = endpoint.settings[4]
        while sent < 20000000 and not stopped.is_set():
            if sent + 10000 <= window_bytes + endpoint.windows.get(slow, 0):
                endpoint.data(slow, b"d" * 10000)
                sent += 10000
            else:
                quick = endpoint.wait_request() if sent < 20000000 else None
                endpoint.answer(quick.stream, body=b"quick")
        endpoint.serve()

    port, _ = h2_scripted(script)
    with RawClient(port, receive_buffer=4096) as slow, Client(port) as quick:
        slow.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        slow.read_until(b"\r\n\r\n")
        for _ in range(5):
            assert quick.get("/quick").body == b"quick"
        stopped.set()


# ---- connections ----

def test_a_full_connection_is_followed_by_another(h2_scripted):
    go = threading.Event()

    def script(connection):
        endpoint = H2Endpoint(connection)
        waiting = [endpoint.wait_request() for _ in range(2)]
        go.wait(20)
        for request in waiting:
            endpoint.answer(request.stream, body=b"%d" % connection.number)
        endpoint.serve()

    port, origin = h2_scripted(script, http2_max_streams=2)
    clients = [Client(port) for _ in range(6)]
    for client in clients:
        client.send("GET", "/")
    wait_until(lambda: len(origin.connections) == 3, 10, "three connections")
    go.set()
    assert sorted(client.receive().body for client in clients) == [b"0", b"0", b"1", b"1", b"2",
                                                                   b"2"]
    for client in clients:
        client.connection.close()


def test_an_endpoint_may_allow_fewer_streams(h2_scripted):
    def script(connection):
        endpoint = H2Endpoint(connection, settings={3: 1})
        request = endpoint.wait_request()
        if connection.number == 0:
            wait_until(lambda: len(origin.connections) == 2, 20, "another connection")
        endpoint.answer(request.stream, body=b"%d" % connection.number)
        endpoint.serve()

    port, origin = h2_scripted(script)
    with Client(port) as first, Client(port) as second:
        first.send("GET", "/")
        wait_until(lambda: b"GET" or origin.connections, 10)
        wait_until(lambda: endpoint_counter(origin.balancer, "http2_streams_total") == 1, 10)
        second.send("GET", "/")
        assert first.receive().body == b"0" and second.receive().body == b"1"


def test_requests_that_waited_for_an_endpoints_limit_go_to_further_connections(h2_scripted):
    go = threading.Event()

    def script(connection):
        endpoint = H2Endpoint(connection, settings=None)
        if connection.number == 0:
            go.wait(20)
        endpoint.send_frames(SettingsFrame(0, settings={3: 2}))
        waiting = [endpoint.wait_request() for _ in range(2)]
        wait_until(lambda: len(origin.connections) == 3, 20, "three connections")
        for request in waiting:
            endpoint.answer(request.stream, body=b"%d" % connection.number)
        endpoint.serve()

    port, origin = h2_scripted(script)
    with H2Client(port) as client:
        for stream in range(1, 13, 2):
            client.request(stream)
        wait_until(lambda: origin.balancer.metrics().sum(
            "quoit_endpoint_requests_in_flight") == 6)
        go.set()
        client.wait_reply(*range(1, 13, 2))
        bodies = sorted(client.reply(stream).body for stream in range(1, 13, 2))
        assert bodies == [b"0", b"0", b"1", b"1", b"2", b"2"]


def test_an_endpoint_that_allows_no_stream_is_not_connected_to_without_end(h2_scripted):
    def script(connection):
        endpoint = H2Endpoint(connection, settings={3: 0})
        endpoint.read_until(lambda: endpoint.requests)

    port, origin = h2_scripted(script, timeouts={"response": "1s"}, retries=0)
    assert get(port, "/").status == 504
    assert len(origin.connections) == 2


def test_a_connection_ends_after_so_many_requests(h2_scripted):
    port, origin = h2_scripted(lambda connection: H2Endpoint(connection).serve(),
                               max_connection_requests=3)
    with Client(port) as client:
        for _ in range(7):
            assert client.get("/").status == 200
    assert len(origin.connections) == 3
    wait_until(lambda: origin.connections[0].finished.is_set(), 10, "the first one's end")


def test_an_idle_connection_is_closed_after_its_time(h2_scripted):
    port, origin = h2_scripted(lambda connection: H2Endpoint(connection).serve(),
                               timeouts={"keepalive": "300ms"})
    assert get(port, "/").status == 200
    wait_until(lambda: origin.connections[0].finished.is_set(), 10, "its end")
    assert get(port, "/").status == 200
    assert len(origin.connections) == 2


# ---- against servers that others wrote ----

def test_files_and_uploads_pass_through_nghttpd(quoit, nghttpd):
    port = nghttpd("--no-tls")
    balancer = quoit({**BASE, "workers": 1, "pools": {"web": static_pool(
        [f"127.0.0.1:{port}"], http2="only",
        health_check={"path": "/small", "interval": "1s"})}})
    with Client(balancer.port) as client:
        assert client.get("/big").body == BIG
        assert client.ask("POST", "/", BIG).body == BIG
        assert client.get("/none").status == 404
    url = f"http://127.0.0.1:{balancer.port}/small"
    done = subprocess.run(["h2load", "-n2000", "-c10", "-m20", url], capture_output=True, text=True,
                          timeout=60, check=True)
    assert "2000 succeeded" in done.stdout, done.stdout
    assert balancer.metrics().sum("quoit_endpoint_failures_total") == 0


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.mark.parametrize("http2", ["on", "only"])
def test_http_2_is_chosen_by_tls(quoit, nghttpd, authority, http2):
    pair = authority.issue("origin.test", "IP:127.0.0.1")
    port = nghttpd(str(pair.key), str(pair.cert))
    # A check of an endpoint that may choose is one of HTTP/1.1, which nghttpd does not speak.
    check = {"health_check": {"path": "/small", "interval": "1s"}} if http2 == "only" else {}
    balancer = quoit({"workers": 1, "pools": {"web": static_pool(
        [f"127.0.0.1:{port}"], http2=http2, tls={"ca_file": str(authority.cert)}, **check)}})
    with Client(balancer.port) as client:
        for _ in range(3):
            assert client.get("/small").body == b"small"
        assert client.get("/big").body == BIG
        assert client.ask("POST", "/", BIG).body == BIG
    assert endpoint_counter(balancer, "http2_connections_total") == 1


@pytest.fixture
def tls_origin():
    started = []

    def start(*arguments, **more):
        started.append(TlsOrigin(f"origin{len(started)}", *arguments, **more))
        return started[-1]

    yield start
    for origin in started:
        origin.close()


@pytest.mark.parametrize("knows_alpn", [False, True])
def test_an_endpoint_may_choose_http_1(quoit, tls_origin, authority, knows_alpn):
    origin = tls_origin(authority.issue("origin.test", "IP:127.0.0.1"))
    if knows_alpn:
        origin.context.set_alpn_protocols(["http/1.1"])
    balancer = quoit({"workers": 1, "pools": {"web": static_pool(
        [origin], http2="on", tls={"ca_file": str(authority.cert)})}})
    clients = [Client(balancer.port) for _ in range(10)]
    for client in clients:
        client.send("GET", "/?delay=0.2")
    for client in clients:
        assert client.receive().status == 200
    accepted = origin.accepted
    for client in clients:
        assert client.get("/again").status == 200
        client.connection.close()
    assert accepted == 10 and origin.accepted == 10  # they are kept
    assert endpoint_counter(balancer, "http2_connections_total") == 0


@pytest.mark.parametrize("knows_alpn", [False, True])
def test_an_endpoint_that_must_speak_http_2_and_does_not_is_unreachable(
        quoit, tls_origin, authority, knows_alpn):
    origin = tls_origin(authority.issue("origin.test", "IP:127.0.0.1"))
    if knows_alpn:
        origin.context.set_alpn_protocols(["http/1.1"])
    balancer = quoit({"workers": 1, "pools": {"web": static_pool(
        [origin], http2="only", tls={"ca_file": str(authority.cert)})}})
    answer = get(balancer.port, "/")
    assert answer.status == 502 and b"http2_refused" in answer.body
    assert not origin.requests


def test_an_endpoint_of_http_1_does_not_pass_for_one_of_http_2(quoit, origins):
    [origin] = origins(1)
    balancer = quoit({"workers": 1, "pools": {"web": static_pool([origin], http2="only")}})
    answer = get(balancer.port, "/")
    assert answer.status == 502 and b"http2_refused" in answer.body


def test_websockets_go_over_http_1_to_an_endpoint_that_speaks_both(quoit, tls_origin, authority):
    origin = tls_origin(authority.issue("origin.test", "IP:127.0.0.1"))
    origin.context.set_alpn_protocols(["h2", "http/1.1"])  # would be lost with h2: it speaks none
    balancer = quoit({"workers": 1, "pools": {"web": static_pool(
        [origin], http2="on", tls={"ca_file": str(authority.cert)})}})
    with RawClient(balancer.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n"
                    b"Upgrade: websocket\r\n\r\n")
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    assert origin.requests[0].header("upgrade") == "websocket"
