"""HTTP/1.1 through the balancer: what passes unchanged, what is added, what is taken off."""
import hashlib
import os
import threading

import pytest

from http_client import Client, RawClient, get, raw
from origins import Response
from ports import free_port
from quoit_process import static_pool
from waiting import wait_until

BIG = 5 * 1024 * 1024


@pytest.fixture
def proxy(quoit, origins):
    """proxy(**pool options) starts one origin and a balancer in front: (port, origin)."""
    def start(configuration=None, **pool):
        [origin] = origins(1)
        balancer = quoit({"pools": {"web": static_pool([origin], **pool)}, **(configuration or {})})
        return balancer.port, origin

    return start


def request_bytes(line, *fields, body=b""):
    return "\r\n".join([line, "Host: example.com", *fields, "", ""]).encode() + body


# --- bodies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 4095, 65536, BIG])
@pytest.mark.parametrize("chunked", [False, True])
def test_response_bodies_of_any_size_pass_unchanged(proxy, size, chunked):
    port, origin = proxy()
    body = os.urandom(size)
    origin.behaviour = lambda request: Response(200, body, chunked=chunked)
    with Client(port) as client:
        for _ in range(2):  # the connection is good for another one
            answer = client.get("/")
            assert (answer.status, len(answer.body)) == (200, size)
            assert hashlib.sha256(answer.body).digest() == hashlib.sha256(body).digest()


@pytest.mark.parametrize("size", [0, 1, 4095, 65536, BIG])
@pytest.mark.parametrize("chunked", [False, True])
def test_request_bodies_of_any_size_pass_unchanged(proxy, size, chunked):
    port, origin = proxy()
    body = os.urandom(size)
    pieces = (body[i:i + 10000] for i in range(0, size, 10000))
    with Client(port) as client:
        assert client.ask("POST", "/", pieces if chunked else body).status == 200
        assert client.get("/next").status == 200
    assert origin.requests[0].body == body
    assert origin.requests[1].body == b""


def test_a_response_that_ends_with_the_connection_passes(proxy):
    port, origin = proxy()

    def answer(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100000)
        return False

    origin.raw_behaviour = answer
    assert get(port, "/").body == b"x" * 100000


def test_a_response_cut_short_is_not_passed_off_as_whole(proxy):
    port, origin = proxy(retries=0)

    def cut(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 500)
        return False

    origin.raw_behaviour = cut
    answer = raw(port, request_bytes("GET / HTTP/1.1"))
    assert answer.count(b"x") == 500 and b"Content-Length: 1000" in answer.title()


def test_a_chunked_response_cut_short_has_no_last_chunk(proxy):
    port, origin = proxy(retries=0)

    def cut(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        return False

    origin.raw_behaviour = cut
    answer = raw(port, request_bytes("GET / HTTP/1.1"))
    assert b"hello" in answer and not answer.endswith(b"0\r\n\r\n")


def test_trailers_pass_in_both_directions(proxy):
    port, origin = proxy()

    def answer(connection, request):
        connection.read_body(request)
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                        b"2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n")
        return True

    origin.raw_behaviour = answer
    with RawClient(port) as client:
        client.send(request_bytes("POST / HTTP/1.1", "TE: trailers", "Transfer-Encoding: chunked",
                                  body=b"3\r\nabc\r\n0\r\nX-Check: 9\r\n\r\n"))
        assert b"x-sum: 7" in client.read_until(b"\r\n0\r\n").lower() + \
            client.read_until(b"\r\n\r\n").lower()
    assert origin.requests[0].body == b"abc"
    assert b"x-check: 9" in origin.requests[0].trailers.lower()


def test_a_slow_reader_does_not_make_the_balancer_store_the_body(quoit, origins):
    """64 MiB towards a client that reads nothing: the origin comes to a halt, and memory stays."""
    [origin] = origins(1)
    sent = [0]

    def flood(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n")
        for _ in range(1024):
            connection.send(b"x" * 65536)
            sent[0] += 65536
        return True

    origin.raw_behaviour = flood
    balancer = quoit({"pools": {"web": static_pool([origin])}, "workers": 1})
    before = resident_bytes(balancer.pid)
    with RawClient(balancer.port) as client:
        client.send(request_bytes("GET / HTTP/1.1"))
        client.read_until(b"\r\n\r\n")
        wait_until(lambda: has_settled(sent), 20, "the origin comes to a halt")
        assert sent[0] < 48 << 20
        assert resident_bytes(balancer.pid) - before < 8 << 20
        remaining = (64 << 20) - len(client.buffer)
        client.buffer = b""
        while remaining:
            remaining -= len(client.sock.recv(1 << 20))


def has_settled(counter):
    seen = counter[0]
    threading.Event().wait(0.3)
    return seen and counter[0] == seen


def resident_bytes(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# --- heads ----------------------------------------------------------------------------------------


def test_forwarding_fields_are_set_and_the_host_is_kept(proxy):
    port, origin = proxy()
    raw(port, request_bytes("GET /a HTTP/1.1", "Connection: close"))
    [request] = origin.requests
    assert request.header("host") == "example.com"
    assert request.header("x-forwarded-for") == "127.0.0.1"
    assert request.header("x-forwarded-proto") == "http"
    assert request.header("x-forwarded-host") == "example.com"
    assert request.header("via").startswith("1.1 ")


def test_the_client_before_us_is_kept_in_x_forwarded_for(proxy):
    port, origin = proxy({"client": {"trusted_proxies": "127.0.0.1"}})
    get(port, "/", X_Forwarded_For="192.0.2.7")
    values = ", ".join(origin.requests[0].values("x-forwarded-for"))
    assert [value.strip() for value in values.split(",")] == ["192.0.2.7", "127.0.0.1"]


def test_hop_by_hop_fields_are_removed_in_both_directions(proxy):
    port, origin = proxy()
    origin.behaviour = lambda request: Response(200, b"x", [
        ("Connection", "x-secret"), ("X-Secret", "1"), ("Keep-Alive", "timeout=5"),
        ("X-Open", "1")])
    answer = raw(port, request_bytes(
        "GET / HTTP/1.1", "Connection: close, X-Private", "X-Private: 1", "Keep-Alive: 3",
        "Proxy-Connection: keep-alive", "TE: gzip", "X-Public: 1")).lower()
    [request] = origin.requests
    for name in ("x-private", "keep-alive", "proxy-connection"):
        assert request.header(name) is None, name
    assert "gzip" not in (request.header("te") or "")
    assert request.header("x-public") == "1"
    assert b"x-open: 1" in answer
    assert b"x-secret" not in answer and b"keep-alive: timeout" not in answer


def test_fields_pass_in_order_with_their_spelling(proxy):
    port, origin = proxy()
    raw(port, request_bytes("GET / HTTP/1.1", "Connection: close", "X-b: 1", "x-A: 2", "X-b: 3"))
    fields = [field for field in origin.requests[0].fields if field[0].lower() in ("x-a", "x-b")]
    assert fields == [("X-b", "1"), ("x-A", "2"), ("X-b", "3")]


def test_an_http_1_0_client_gets_an_answer_it_understands(proxy):
    port, origin = proxy()
    origin.behaviour = lambda request: Response(200, b"hello", chunked=True)
    answer = raw(port, b"GET / HTTP/1.0\r\n\r\n")
    head, body = answer.split(b"\r\n\r\n", 1)
    assert body == b"hello"
    assert b"transfer-encoding" not in head.lower()


def test_an_http_1_0_client_may_keep_its_connection(proxy):
    port, _ = proxy()
    with RawClient(port) as client:
        for _ in range(2):
            client.send(b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            head = client.read_until(b"\r\n\r\n").lower()
            assert b"connection: keep-alive" in head
            client.read_exactly(len("origin0 GET /a\n"))


def test_head_and_bodiless_statuses_have_no_body_and_keep_the_connection(proxy):
    port, _ = proxy()
    with Client(port) as client:
        answer = client.ask("HEAD", "/a?bytes=1000")
        assert (answer.status, answer.body, answer.header("content-length")) == (200, b"", "1000")
        for status in (204, 304):
            answer = client.get(f"/?status={status}")
            assert (answer.status, answer.body) == (status, b"")
        assert client.get("/b").body == b"origin0 GET /b\n"


def test_pipelined_requests_are_answered_in_order(proxy):
    port, _ = proxy()
    with RawClient(port) as client:
        client.send(b"".join(request_bytes(f"GET /{i} HTTP/1.1") for i in range(20)))
        for i in range(20):
            assert b" 200 " in client.read_until(b"\r\n\r\n")
            client.read_until(f"origin0 GET /{i}\n".encode())


def test_a_client_that_closes_its_half_still_gets_its_answer(proxy):
    port, _ = proxy()
    with RawClient(port) as client:
        client.send(request_bytes("GET /a?delay=0.3 HTTP/1.1"))
        client.half_close()
        assert client.read_to_end().endswith(b"origin0 GET /a?delay=0.3\n")


# --- 1xx and Upgrade ----------------------------------------------------------------------------


def test_expect_100_continue_is_answered_before_the_body(proxy):
    port, origin = proxy()
    with RawClient(port) as client:
        client.send(request_bytes("PUT /a HTTP/1.1", "Expect: 100-continue", "Content-Length: 5"))
        assert b" 100 " in client.read_until(b"\r\n\r\n")
        client.send(b"hello")
        assert b" 200 " in client.read_until(b"\r\n\r\n")
    assert origin.requests[0].body == b"hello"


def test_other_1xx_answers_pass(proxy):
    port, origin = proxy()

    def hint(connection, request):
        connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
                        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        return True

    origin.raw_behaviour = hint
    with RawClient(port) as client:
        client.send(request_bytes("GET / HTTP/1.1"))
        assert b" 103 " in client.read_until(b"\r\n\r\n")
        assert b" 200 " in client.read_until(b"\r\n\r\n")
        assert client.read_exactly(2) == b"ok"


def test_an_upgrade_becomes_a_tunnel_with_half_close(proxy):
    port, origin = proxy()

    def echo(connection, request):
        assert request.header("upgrade") == "websocket"
        assert "upgrade" in request.header("connection").lower()
        connection.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                        b"Upgrade: websocket\r\n\r\nwelcome")
        while data := connection.sock.recv(65536):
            connection.send(data)
        connection.send(b"bye")  # the client's half is closed, ours is not
        return False

    origin.raw_behaviour = echo
    with RawClient(port) as client:
        client.send(request_bytes("GET /chat HTTP/1.1", "Connection: Upgrade",
                                  "Upgrade: websocket"))
        head = client.read_until(b"\r\n\r\n")
        assert b" 101 " in head and b"upgrade: websocket" in head.lower()
        assert client.read_exactly(7) == b"welcome"
        for message in (b"one", b"\x00\xff" * 40000, b"three"):
            client.send(message)
            assert client.read_exactly(len(message)) == message
        client.half_close()
        assert client.read_to_end() == b"bye"


# --- what quoit answers itself --------------------------------------------------------------------


@pytest.mark.parametrize("data, status", [
    (b"GET / HTTP/1.1\r\n\r\n", 400),  # no Host
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\n folded: 1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
     b"0\r\n\r\n", 400),  # smuggling
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    (b"GET / HTTP/1.1\r\nHost: a\r\nExpect: the moon\r\n\r\n", 417),
    (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20000 + b"\r\n\r\n", 431),
    (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: 1\r\n" * 101 + b"\r\n", 431),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),  # TLS
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
])
def test_bad_requests_get_their_status_and_never_reach_an_endpoint(proxy, data, status):
    port, origin = proxy()
    answer = raw(port, data)
    assert answer.split(b" ")[:2] == [b"HTTP/1.1", str(status).encode()], answer[:200]
    assert b"connection: close" in answer.lower()
    assert not origin.requests


def test_a_body_over_the_limit_is_413(proxy):
    port, origin = proxy({"client": {"max_body_size": "1000b"}})
    assert get(port, "/").status == 200
    answer = raw(port, request_bytes("POST / HTTP/1.1", "Content-Length: 1001"))
    assert b" 413 " in answer.split(b"\r\n")[0]
    assert len(origin.requests) == 1


def test_a_chunked_body_over_the_limit_is_cut_off(proxy):
    port, origin = proxy({"client": {"max_body_size": "1000b"}})
    answer = raw(port, request_bytes("POST / HTTP/1.1", "Transfer-Encoding: chunked",
                                     body=b"5dc\r\n" + b"x" * 1500 + b"\r\n0\r\n\r\n"))
    assert b" 413 " in answer.split(b"\r\n")[0]
    assert not origin.requests


def test_no_route_is_404_and_the_longest_path_wins(quoit, origins):
    shallow, deep, host = origins(3)
    balancer = quoit({
        "pools": {"shallow": static_pool([shallow]), "deep": static_pool([deep]),
                  "host": static_pool([host])},
        "routes": [{"path": "/img", "pool": "shallow"}, {"path": "/img/big", "pool": "deep"},
                   {"host": "*.example.com", "pool": "host"}],
    })
    with Client(balancer.port) as client:
        assert client.get("/img/a").origin == shallow.name
        assert client.get("/img/big").origin == deep.name
        assert client.get("/img/bigger").origin == shallow.name
        assert client.get("/images").status == 404
        assert client.get("/img", Host="A.Example.COM:80").origin == host.name


# --- deadlines ------------------------------------------------------------------------------------


def test_a_head_that_never_ends_is_408(proxy):
    port, _ = proxy({"client": {"header_timeout": "300ms"}})
    assert b" 408 " in raw(port, b"GET / HTTP/1.1\r\nHost:")


def test_an_idle_connection_is_closed_without_a_word(proxy):
    port, _ = proxy({"client": {"keepalive_timeout": "300ms"}})
    with RawClient(port) as client:
        client.send(request_bytes("GET /a HTTP/1.1"))
        client.read_until(b"origin0 GET /a\n")
        assert client.read_to_end() == b""


def test_a_body_that_stands_still_is_408(proxy):
    port, _ = proxy({"client": {"body_timeout": "300ms"}})
    answer = raw(port, request_bytes("POST / HTTP/1.1", "Content-Length: 10", body=b"abc"))
    assert b" 408 " in answer.split(b"\r\n")[0]


def test_an_endpoint_that_does_not_answer_is_504(proxy):
    port, _ = proxy(timeouts={"response": "300ms"}, retries=0)
    answer = get(port, "/?delay=3")
    assert answer.status == 504


def test_a_request_that_takes_too_long_as_a_whole_is_cut(proxy):
    port, origin = proxy(timeouts={"total": "500ms"}, retries=0)

    def drip(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(100):
            connection.send(b"x")
            threading.Event().wait(0.1)
        return False

    origin.raw_behaviour = drip
    assert 0 < raw(port, request_bytes("GET / HTTP/1.1")).count(b"x") < 20


def test_nobody_to_ask_is_503_and_no_connection_is_502(quoit):
    balancer = quoit({
        "pools": {"empty": {"endpoints": [{"address": "127.0.0.1:1", "weight": 0}]},
                  "dead": static_pool(["127.0.0.1:1"])},
        "routes": [{"path": "/empty", "pool": "empty"}, {"path": "/dead", "pool": "dead"}],
    }, wait_ready=False)
    wait_until(lambda: balancer.admin("/healthz")[0] == 200)
    assert get(balancer.port, "/empty").status == 503
    assert get(balancer.port, "/dead").status == 502


# --- connections ----------------------------------------------------------------------------------


def test_upstream_connections_are_reused(quoit, origins):
    [origin] = origins(1)
    balancer = quoit({"pools": {"web": static_pool([origin])}, "workers": 1})
    with Client(balancer.port) as client:
        for i in range(50):
            assert client.get(f"/{i}").status == 200
    assert origin.accepted <= 2


def test_a_pooled_connection_that_the_origin_closed_costs_no_request(proxy):
    port, origin = proxy()
    with Client(port) as client:
        for i in range(20):
            assert client.ask("POST" if i % 2 else "GET", f"/{i}", b"" if i % 2 else None).status \
                == 200
            origin.cut_connections()
            wait_until(lambda: origin.open_connections() == 0)


def test_a_client_over_ipv6_is_served_and_named(quoit, origins):
    [origin] = origins(1)
    port = free_port()
    quoit({"listeners": [{"address": f"[::1]:{port}"}], "pools": {"web": static_pool([origin])}})
    with Client(port, host="::1") as client:
        assert client.get("/").status == 200
    assert origin.requests[-1].header("x-forwarded-for") == "::1"


def test_an_ipv6_endpoint_is_reached(quoit, origins):
    [origin] = origins(1, host="::1")
    balancer = quoit({"pools": {"web": static_pool([origin])}})
    assert get(balancer.port, "/").origin == origin.name


@pytest.mark.parametrize("target, pool", [
    ("/admin/x", 1), ("/admin", 1), ("//admin", 1), ("/img/../admin", 1), ("/img/%2e%2E/admin/x", 1),
    ("/./%61dmin", 1), ("/../admin?a=/b", 1), ("/admin%2fx", 0), ("/admin;x", 0), ("/adminx", 0),
    ("/admin/../img", 0), ("/%2561dmin", 0),
])
def test_no_spelling_of_a_path_goes_round_its_route(quoit, origins, target, pool):
    """Routes see the normal form; the endpoint sees the target as it came."""
    servers = origins(2)
    balancer = quoit({"pools": {"web": static_pool(servers[:1]), "admin": static_pool(servers[1:])},
                      "routes": [{"path": "/", "pool": "web"}, {"path": "/admin", "pool": "admin"}]})
    with RawClient(balancer.port) as client:
        client.send(f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    assert [request.target for request in servers[pool].requests] == [target]


def test_long_and_short_bodies_by_turns_arrive_whole(proxy):
    """Long ones go through the kernel; what one was like says nothing binding about the next."""
    port, origin = proxy()
    sizes = [100_000, 0, 40_000, 3, 32_768, 4_000, 70_000, 32_767, 1_000_000, 5_000, 49_152, 20_000]
    data = os.urandom(max(sizes))
    origin.behaviour = lambda request: Response(
        body=data[:int(request.path[1:])], fields=[("X-Fill", "f" * (int(request.path[1:]) % 9000))])
    with Client(port) as client:
        for size in sizes * 4:
            assert client.get(f"/{size}").body == data[:size]
    assert origin.accepted == 1
