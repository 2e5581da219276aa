"""TLS towards endpoints: who is believed, what is resumed, what becomes of failures."""
import http.client
import ssl
import threading

import pytest

from certificates import Authority
from http_client import Client, get
from origins import Origin
from quoit_process import static_pool
from waiting import wait_until


class TlsOrigin(Origin):
    """An origin behind TLS, in threads of the test."""

    def __init__(self, name, pair, client_ca=None, **more):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pair.cert, pair.key)
        self.names, self.resumed = [], []
        self.context.sni_callback = lambda sock, name, made: self.names.append(name)
        if client_ca:
            self.context.load_verify_locations(client_ca)
            self.context.verify_mode = ssl.CERT_REQUIRED
        super().__init__(name, **more)

    def _serve(self, connection):
        try:
            connection.sock = self.context.wrap_socket(connection.sock, server_side=True)
            self.resumed.append(connection.sock.session_reused)
        except OSError:
            connection.sock.close()
            return
        super()._serve(connection)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def pair(authority):
    return authority.issue("origin.test", "DNS:origin.test")


@pytest.fixture
def tls_origin():
    started = []

    def start(*arguments, **more):
        started.append(TlsOrigin(f"origin{len(started)}", *arguments, **more))
        return started[-1]

    yield start
    for origin in started:
        origin.close()


def balancer_for(quoit, origins, authority, tls=None, **pool):
    return quoit({"workers": 1, "pools": {"web": static_pool(
        origins, tls={"ca_file": str(authority.cert), **(tls or {})}, **pool)}})


def test_requests_go_to_an_endpoint_that_is_who_it_says(quoit, tls_origin, authority, pair):
    origin = tls_origin(pair)
    balancer = balancer_for(quoit, [origin], authority, {"server_name": "origin.test"})
    with Client(balancer.port) as client:
        for _ in range(5):
            assert client.get("/x").body == b"origin0 GET /x\n"
    assert origin.names == ["origin.test"] and origin.accepted == 1
    assert len(get(balancer.port, "/?bytes=3000000").body) == 3000000


def test_an_address_must_stand_in_the_certificate(quoit, tls_origin, authority, pair):
    by_address = authority.issue("ip", "IP:127.0.0.1")
    good = balancer_for(quoit, [tls_origin(by_address)], authority)
    assert get(good.port, "/").status == 200
    bad = balancer_for(quoit, [tls_origin(pair)], authority)
    assert get(bad.port, "/").status == 502


@pytest.mark.parametrize("tls", [{"server_name": "other.test"}, {"server_name": "origin.test",
                                                                 "ca_file": None}])
def test_a_certificate_that_is_not_good_is_refused(quoit, tls_origin, authority, pair, tls):
    origin = tls_origin(pair)
    balancer = balancer_for(quoit, [origin], authority, tls)
    answer = get(balancer.port, "/")
    assert answer.status == 502 and b"certificate_refused" in answer.body
    assert balancer.wait_access(1)[0]["reason"] == "certificate_refused"
    assert origin.requests == []


def test_verification_can_be_turned_off(quoit, tls_origin, authority, pair):
    balancer = balancer_for(quoit, [tls_origin(pair)], authority, {"verify": False})
    assert get(balancer.port, "/").status == 200


def test_failed_handshakes_go_elsewhere_even_for_posts(quoit, tls_origin, authority, pair):
    old, good = tls_origin(pair), tls_origin(pair)
    old.context.maximum_version = ssl.TLSVersion.TLSv1_2
    tls = {"server_name": "origin.test", "min_version": "1.3"}
    balancer = balancer_for(quoit, [old, good], authority, tls, algorithm="round_robin")
    with Client(balancer.port) as client:
        for _ in range(4):
            assert client.ask("POST", "/", b"body").status == 200
    assert len(good.requests) == 4
    alone = balancer_for(quoit, [old], authority, tls)
    assert b"handshake_failed" in get(alone.port, "/").body


def test_a_silent_endpoint_is_given_up_at_the_connect_timeout(scripted, authority):
    ended = threading.Event()

    def script(connection):
        connection.read_to_end()
        ended.set()

    port, _ = scripted(script, tls={"verify": False},
                       timeouts={"connect": "300ms"}, retries=0)
    answer = get(port, "/")
    assert answer.status == 504 and b"connect_timeout" in answer.body
    assert ended.wait(5)


def test_sessions_with_an_endpoint_are_resumed(quoit, tls_origin, authority, pair):
    origin = tls_origin(pair)
    balancer = balancer_for(quoit, [origin], authority, {"server_name": "origin.test"},
                            max_connection_requests=1)
    with Client(balancer.port) as client:
        for _ in range(4):
            assert client.get("/").status == 200
    assert origin.resumed == [False, True, True, True]


def test_our_own_certificate_is_shown(quoit, tls_origin, authority, pair):
    own = authority.issue("balancer")
    origin = tls_origin(pair, client_ca=authority.cert)
    shown = balancer_for(quoit, [origin], authority, {
        "server_name": "origin.test", "cert": str(own.cert), "key": str(own.key)})
    assert get(shown.port, "/").status == 200
    hidden = balancer_for(quoit, [origin], authority, {"server_name": "origin.test"})
    assert get(hidden.port, "/").status == 502


def test_health_checks_speak_tls_with_the_same_settings(quoit, tls_origin, authority, pair):
    good, stranger = tls_origin(pair), tls_origin(authority.issue("no", "DNS:no.test"))
    balancer = balancer_for(
        quoit, [good, stranger], authority, {"server_name": "origin.test"},
        health_check={"path": "/health", "interval": "50ms", "fall": 1})
    wait_until(lambda: balancer.usable("web") == 1, 10, "one endpoint")
    assert balancer.state("web")[good.address] == "up"


def test_a_body_without_its_end_is_not_passed_for_whole(quoit, tls_origin, authority, pair):
    origin = tls_origin(pair)
    balancer = balancer_for(quoit, [origin], authority, {"server_name": "origin.test"}, retries=0)

    def answer(connection, _):
        connection.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf a body")
        return False  # the socket is closed, TLS is not

    origin.raw_behaviour = answer
    with Client(balancer.port) as client:
        client.send("GET", "/")
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
            client.receive()
    assert balancer.wait_access(1)[0]["reason"] == "upstream_closed"

    def whole(connection, _):
        connection.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\na whole body")
        connection.sock.unwrap()
        return False

    origin.raw_behaviour = whole
    assert get(balancer.port, "/").body == b"a whole body"
