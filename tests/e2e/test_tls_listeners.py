"""TLS of listeners: certificates by name, versions, sessions, clients' certificates, failures."""
import hashlib
import http.client
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import textwrap
import threading

import pytest

from certificates import Authority, openssl
from http_client import RawClient, get
from load import keys
from ports import free_port
from quoit_process import run_quoit, static_pool
from scripted import values_of
from waiting import wait_until


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def pairs(authority):
    """The certificates most tests use, by name."""
    return {
        "a": authority.issue("a.test", "DNS:a.test", "DNS:localhost"),
        "a_rsa": authority.issue("a.test", "DNS:a.test", kind="rsa"),
        "wild": authority.issue("*.w.test", "DNS:*.w.test"),
        "exact": authority.issue("x.w.test", "DNS:x.w.test"),
        "client": authority.issue("client one"),
        "revoked": authority.issue("client two"),
    }


def listener(quoit, origins, *certificates, configuration=None, **tls):
    """A balancer whose one listener has TLS."""
    return quoit({
        "workers": 1,
        "listener": {"tls": {"certificates": [pair.conf for pair in certificates], **tls}},
        "pools": {"web": static_pool(origins)}, **(configuration or {})})


def context(authority, **more):
    made = ssl.create_default_context(cafile=authority.cert)
    for name, value in more.items():
        setattr(made, name, value)
    return made


def connect(port, made, name="a.test", session=None):
    raw = socket.create_connection(("127.0.0.1", port), timeout=15)
    try:
        return made.wrap_socket(raw, server_hostname=name, session=session)
    except BaseException:
        raw.close()
        raise


def ask(sock, target="/", host="a.test", more=""):
    sock.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode())
    response = http.client.HTTPResponse(sock)
    response.begin()
    return response, response.read()


def unverified():
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    return made


def certificate_for(port, name, made=None):
    with connect(port, made or unverified(), name) as sock:
        return sock.getpeercert(binary_form=True)


def test_requests_arrive_over_tls_and_say_so(quoit, origins, authority, pairs):
    origin, = origins()
    balancer = listener(quoit, [origin], pairs["a"])
    with connect(balancer.port, context(authority)) as sock:
        assert sock.version() == "TLSv1.3"
        for target in keys(3):
            response, body = ask(sock, target, more="X-Forwarded-Proto: gopher\r\n")
            assert response.status == 200 and body == f"origin0 GET {target}\n".encode()
    assert origin.requests[0].header("x-forwarded-proto") == "https"
    line = balancer.wait_access(3)[0]
    assert line["tls"] == "TLSv1.3" and line["sni"] == "a.test" and line["cipher"]
    assert balancer.metrics().sum("quoit_tls_full_handshakes_total") == 1


def test_forwarded_says_https_too(quoit, origins, authority, pairs):
    origin, = origins()
    balancer = listener(quoit, [origin], pairs["a"],
                        configuration={"forwarded_headers": {"family": "forwarded"}})
    with connect(balancer.port, context(authority)) as sock:
        assert ask(sock)[0].status == 200
    assert origin.requests[0].header("forwarded").endswith("proto=https")


def test_the_certificate_is_the_one_for_the_name(quoit, origins, pairs):
    balancer = listener(quoit, origins(), pairs["a"], pairs["wild"], pairs["exact"])
    wanted = {"a.test": "a", "A.TEST": "a", "y.w.test": "wild", "x.w.test": "exact",
              "w.test": "a", "z.y.w.test": "a", "other.test": "a", None: "a"}
    for name, pair in wanted.items():
        assert certificate_for(balancer.port, name) == pairs[pair].der(), name


def test_ecdsa_and_rsa_stand_side_by_side(quoit, origins, pairs):
    balancer = listener(quoit, origins(), pairs["a"], pairs["a_rsa"])
    only_rsa = unverified()
    only_rsa.maximum_version = ssl.TLSVersion.TLSv1_2
    only_rsa.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
    assert certificate_for(balancer.port, "a.test") == pairs["a"].der()
    assert certificate_for(balancer.port, "a.test", only_rsa) == pairs["a_rsa"].der()
    assert certificate_for(balancer.port, "none.test", only_rsa) == pairs["a_rsa"].der()


def test_strict_sni_refuses_names_that_nobody_has(quoit, origins, authority, pairs):
    balancer = listener(quoit, origins(), pairs["a"], strict_sni=True)
    for name in ("other.test", None):
        with pytest.raises(ssl.SSLError, match="(?i)unrecognized.name"):
            connect(balancer.port, unverified(), name)
    with connect(balancer.port, context(authority)) as sock:
        assert ask(sock)[0].status == 200
    assert balancer.metrics().sum(
        "quoit_client_connections_refused_total", reason="tls_failed") == 2


def test_alpn_is_agreed_on_or_refused(quoit, origins, pairs):
    balancer = listener(quoit, origins(), pairs["a"])
    made = unverified()
    made.set_alpn_protocols(["h3", "http/1.1"])
    with connect(balancer.port, made) as sock:
        assert sock.selected_alpn_protocol() == "http/1.1"
        assert ask(sock)[0].status == 200
    assert balancer.wait_access(1)[0]["alpn"] == "http/1.1"
    made.set_alpn_protocols(["smtp"])
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        connect(balancer.port, made)


def test_versions_are_what_is_configured(quoit, origins, pairs):
    balancer = listener(quoit, origins(), pairs["a"], min_version="1.3")
    made = unverified()
    made.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        connect(balancer.port, made)
    other = listener(quoit, origins(), pairs["a"], max_version="1.2")
    with connect(other.port, unverified()) as sock:
        assert sock.version() == "TLSv1.2"


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_sessions_resume_with_any_worker(quoit, origins, pairs, tmp_path, version):
    balancer = listener(quoit, origins(), pairs["a"], configuration={"workers": 2})
    session = tmp_path / "session"
    where = ["-connect", f"127.0.0.1:{balancer.port}", "-servername", "a.test", version]
    request = b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"

    def s_client(*more):
        return openssl("s_client", *where, "-ign_eof", *more, stdin=request).decode()

    assert "New, TLSv1" in s_client("-sess_out", session)
    for _ in range(8):
        assert "Reused, TLSv1" in s_client("-sess_in", session)
    assert balancer.metrics().sum("quoit_tls_resumed_handshakes_total") == 8


def test_tickets_of_a_file_outlive_the_process(quoit, origins, pairs, tmp_path):
    file, session = tmp_path / "tickets", tmp_path / "session"
    file.write_bytes(os.urandom(80))
    request = b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"

    def s_client(balancer, *more):
        return openssl("s_client", "-connect", f"127.0.0.1:{balancer.port}", "-servername",
                       "a.test", "-ign_eof", *more, stdin=request).decode()

    first = listener(quoit, origins(), pairs["a"], ticket_file=str(file))
    second = listener(quoit, origins(), pairs["a"], ticket_file=str(file))
    stranger = listener(quoit, origins(), pairs["a"])
    assert "New, TLSv1.3" in s_client(first, "-sess_out", session)
    assert "Reused, TLSv1.3" in s_client(second, "-sess_in", session)
    assert "New, TLSv1.3" in s_client(stranger, "-sess_in", session)


def test_without_tickets_nothing_resumes(quoit, origins, pairs):
    balancer = listener(quoit, origins(), pairs["a"], tickets=False, max_version="1.2")
    made = unverified()
    with connect(balancer.port, made) as sock:
        assert ask(sock)[0].status == 200
        session = sock.session
    with connect(balancer.port, made, session=session) as sock:
        assert not sock.session_reused


@pytest.mark.parametrize("version, tickets", [("1.2", False), ("1.3", False), ("1.2", True)])
def test_sessions_are_kept_for_clients_without_tickets(quoit, origins, pairs, version, tickets):
    balancer = listener(quoit, origins(), pairs["a"], tickets=tickets, max_version=version,
                        session_cache=100, configuration={"workers": 2})
    made = unverified()
    if tickets:
        made.options |= ssl.OP_NO_TICKET
    session = session_of(balancer.port, made)
    assert all(resumes(balancer.port, made, session) for _ in range(4))
    assert balancer.metrics().sum("quoit_tls_resumed_handshakes_total") == 4


def test_the_oldest_of_the_sessions_kept_make_room(quoit, origins, pairs):
    balancer = listener(quoit, origins(), pairs["a"], tickets=False, max_version="1.2",
                        session_cache=2)
    made = unverified()
    sessions = [session_of(balancer.port, made) for _ in range(3)]
    # The oldest last: with a new session for it another one goes.
    assert [resumes(balancer.port, made, one) for one in sessions[::-1]] == [True, True, False]


def test_a_clients_certificate_reaches_the_endpoint(quoit, origins, authority, pairs):
    origin, = origins()
    balancer = listener(
        quoit, [origin], pairs["a"], client_auth="optional", client_ca_file=str(authority.cert),
        configuration={"client": {"subject_header": "X-Client-Subject",
                                  "fingerprint_header": "X-Client-Fingerprint"}})
    forged = "X-Client-Subject: root\r\nx_client_fingerprint: 00\r\nX-CLIENT-FINGERPRINT: 11\r\n"
    made = context(authority)
    with connect(balancer.port, made) as sock:
        assert ask(sock, more=forged)[0].status == 200
    made.load_cert_chain(pairs["client"].cert, pairs["client"].key)
    with connect(balancer.port, made) as sock:
        assert ask(sock, more=forged)[0].status == 200
    without, with_one = origin.requests
    assert without.values("x-client-subject") == without.values("x-client-fingerprint") == []
    assert without.values("x_client_fingerprint") == []
    assert with_one.header("x-client-subject") == "CN=client one"
    fingerprint = hashlib.sha256(pairs["client"].der()).hexdigest()
    assert with_one.header("x-client-fingerprint") == fingerprint


def refused(port, made):
    """Whether a client is turned away; with TLS 1.3 it learns that from its first read."""
    try:
        with connect(port, made) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
            return sock.recv(1000) == b""
    except (ssl.SSLError, ConnectionResetError):
        return True


def test_required_certificates_are_required_and_checked(quoit, origins, authority, pairs,
                                                        tmp_path):
    crl = authority.crl(pairs["revoked"])
    balancer = listener(quoit, origins(), pairs["a"], client_auth="required",
                        client_ca_file=str(authority.cert), client_crl_file=str(crl))
    made = context(authority)
    assert refused(balancer.port, made)
    stranger = Authority(tmp_path, "stranger").issue("client one")
    made.load_cert_chain(stranger.cert, stranger.key)
    assert refused(balancer.port, made)
    made.load_cert_chain(pairs["revoked"].cert, pairs["revoked"].key)
    assert refused(balancer.port, made)
    made.load_cert_chain(pairs["client"].cert, pairs["client"].key)
    with connect(balancer.port, made) as sock:
        assert ask(sock)[0].status == 200
    assert balancer.metrics().sum(
        "quoit_client_connections_refused_total", reason="tls_certificate") == 3


def resumes(port, made, session):
    """Whether a connection with this session is served, and resumes it; False: it is refused."""
    try:
        with connect(port, made, session=session) as sock:
            ask(sock)
            return sock.session_reused
    except (ssl.SSLError, ConnectionError, http.client.BadStatusLine):
        return False


def session_of(port, made):
    with connect(port, made) as sock:
        ask(sock)
        return sock.session


@pytest.fixture(params=(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3), ids=("1.2", "1.3"))
def limited(request, authority):
    """limited(pair) makes a client's context with a certificate, or without, of one version."""
    def make(pair=None):
        made = context(authority, maximum_version=request.param)
        if pair:
            made.load_cert_chain(pair.cert, pair.key)
        return made
    return make


def test_a_resumed_session_is_still_the_clients(quoit, origins, authority, pairs, limited):
    origin, = origins()
    balancer = listener(quoit, [origin], pairs["a"], client_auth="required",
                        client_ca_file=str(authority.cert),
                        configuration={"client": {"subject_header": "X-Client"}})
    made = limited(pairs["client"])
    assert resumes(balancer.port, made, session_of(balancer.port, made))
    assert [r.header("x-client") for r in origin.requests] == ["CN=client one"] * 2


def test_a_session_ends_when_its_certificate_is_revoked(quoit, origins, authority, pairs, limited,
                                                        tmp_path):
    client = authority.issue("revoked later", file=tmp_path.name)
    crl = tmp_path / "clients.crl"
    shutil.copy(authority.crl(), crl)
    balancer = listener(quoit, origins(), pairs["a"], client_auth="required",
                        client_ca_file=str(authority.cert), client_crl_file=str(crl))
    made = limited(client)
    session = session_of(balancer.port, made)
    assert resumes(balancer.port, made, session)
    shutil.copy(authority.crl(client), crl)
    balancer.signal(signal.SIGHUP)
    wait_until(lambda: not resumes(balancer.port, made, session), what="the ticket is refused")
    wait_until(lambda: balancer.metrics().sum(
        "quoit_client_connections_refused_total", reason="tls_certificate") >= 1)


def test_a_session_ends_with_its_certificate(quoit, origins, authority, pairs, limited, tmp_path):
    balancer = listener(quoit, origins(), pairs["a"], client_auth="required",
                        client_ca_file=str(authority.cert))
    client = authority.issue(tmp_path.name, seconds=8)
    made = limited(client)
    session = session_of(balancer.port, made)
    assert resumes(balancer.port, made, session)
    wait_until(lambda: not resumes(balancer.port, made, session), 20, interval=0.5)


@pytest.mark.parametrize("auth", ("none", "optional"))
def test_a_session_without_certificate_is_none_where_it_is_required(
        quoit, origins, authority, pairs, limited, auth, tmp_path):
    """Two processes of a fleet, with the same keys of tickets, that do not ask for the same."""
    keys_file = tmp_path / "keys"
    keys_file.write_bytes(os.urandom(80))
    shared = {"ticket_file": str(keys_file), "client_ca_file": str(authority.cert)}
    if auth == "none":
        first = listener(quoit, origins(), pairs["a"], ticket_file=str(keys_file))
    else:
        first = listener(quoit, origins(), pairs["a"], client_auth=auth, **shared)
    second = listener(quoit, origins(), pairs["a"], client_auth="required", **shared)
    made = limited()
    session = session_of(first.port, made)
    assert resumes(first.port, made, session)
    assert not resumes(second.port, made, session)


def test_a_handshake_has_a_deadline(quoit, origins, pairs):
    balancer = listener(quoit, origins(), pairs["a"], handshake_timeout="300ms")
    for data in (b"", b"\x16\x03\x01"):
        with RawClient(balancer.port) as client:
            client.send(data)
            assert client.read_to_end() == b""
    assert balancer.metrics().sum(
        "quoit_client_connections_refused_total", reason="tls_timeout") == 2


def test_what_is_no_tls_is_counted_and_closed(quoit, origins, pairs):
    balancer = listener(quoit, origins(), pairs["a"])
    with RawClient(balancer.port) as client:
        client.send(bytes(1000))
        assert b"HTTP" not in client.read_to_end()
    with RawClient(balancer.port) as client:
        client.half_close()  # a look whether somebody is there
        client.read_to_end()
    assert balancer.metrics().sum(
        "quoit_client_connections_refused_total", reason="tls_failed") == 1


@pytest.mark.parametrize("begin", (b"GET /", b"HEAD /", b"POST /", b"PUT /", b"CONNECT a:80"))
def test_a_request_without_tls_is_told_so(quoit, origins, pairs, begin):
    balancer = listener(quoit, origins(), pairs["a"])
    with RawClient(balancer.port) as client:
        client.send(begin + b" HTTP/1.1\r\nHost: a.test\r\n\r\n")
        head, _, body = client.read_to_end().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert values_of(head + b"\r\n\r\n", b"content-length") == [b"%d" % len(body)]
    assert b"HTTPS" in body
    wait_until(lambda: balancer.metrics().sum(
        "quoit_client_connections_refused_total", reason="tls_failed") == 1)
    assert not balancer.access()


def test_renegotiation_is_refused(quoit, origins, pairs):
    balancer = listener(quoit, origins(), pairs["a"])
    result = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{balancer.port}", "-tls1_2"],
        input=b"R\n", capture_output=True, timeout=20,
        check=False)
    assert result.returncode == 1 and b"no renegotiation" in result.stderr


def test_big_bodies_pass_both_ways(quoit, origins, authority, pairs):
    origin, = origins()
    balancer = listener(quoit, [origin], pairs["a"])
    body = os.urandom(3_000_000)
    with connect(balancer.port, context(authority)) as sock:
        sock.sendall(b"POST /up HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3000000\r\n\r\n" + body)
        response = http.client.HTTPResponse(sock)
        response.begin()
        response.read()
        assert response.status == 200
        assert origin.requests[0].body == body
        for more in ("", "&chunked=1"):
            answer = ask(sock, f"/down?bytes=5000000{more}")[1]
            assert len(answer) == 5000000


def test_a_slow_reader_gets_it_all(quoit, origins, authority, pairs):
    balancer = listener(quoit, origins(), pairs["a"])
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    raw.connect(("127.0.0.1", balancer.port))
    with context(authority).wrap_socket(raw, server_hostname="a.test") as sock:
        sock.settimeout(20)
        sock.sendall(b"GET /x?bytes=2000000 HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
        got = b""
        while data := sock.recv(5000):
            got += data
    assert len(got.split(b"\r\n\r\n", 1)[1]) == 2000000


def test_an_answer_cut_short_does_not_look_whole(scripted, authority, pairs):
    def script(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")

    port, _ = scripted(script, {"listener": {"tls": {"certificates": [pairs["a"].conf]}}})
    with connect(port, context(authority)) as sock:
        sock.suppress_ragged_eofs = False
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
            while sock.recv(1000):
                pass


def test_the_last_answer_ends_in_close_notify(quoit, origins, authority, pairs):
    balancer = listener(quoit, origins(), pairs["a"])
    with connect(balancer.port, context(authority)) as sock:
        sock.suppress_ragged_eofs = False
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
        got = b""
        while data := sock.recv(1000):
            got += data
        assert got.startswith(b"HTTP/1.1 200")


def test_the_proxy_header_comes_before_tls(quoit, origins, authority, pairs):
    origin, = origins()
    port = free_port()
    quoit({"workers": 1, "client": {"trusted_proxies": ["127.0.0.1"]},
           "listeners": [{"address": f"127.0.0.1:{port}", "proxy_protocol": True,
                          "tls": {"certificates": [pairs["a"].conf]}}],
           "pools": {"web": static_pool([origin])}})
    raw = socket.create_connection(("127.0.0.1", port), timeout=15)
    made = context(authority)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = made.wrap_bio(incoming, outgoing, server_hostname="a.test")
    with pytest.raises(ssl.SSLWantReadError):
        hello.do_handshake()
    # One segment, so that the handshake's first bytes are read with the header.
    raw.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.8 1111 443\r\n" + outgoing.read())
    while True:
        incoming.write(raw.recv(65536))
        try:
            hello.do_handshake()
            break
        except ssl.SSLWantReadError:
            continue
    hello.write(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
    raw.sendall(outgoing.read())
    wait_until(lambda: origin.requests, 10, "the request")
    assert origin.requests[0].header("x-forwarded-for") == "192.0.2.7"
    raw.close()


def test_plain_requests_are_sent_to_https(quoit, origins):
    port = free_port()
    quoit({"workers": 1, "listeners": [{"address": f"127.0.0.1:{port}", "redirect_https": True,
                                        "redirect_https_port": 8443}],
           "pools": {"web": static_pool(origins())}})
    answer = get(port, "/a/b?c=d", Host="Example.com:8080")
    assert answer.status == 308
    assert answer.header("location") == "https://Example.com:8443/a/b?c=d"
    assert get(port, "/", Host="[::1]").header("location") == "https://[::1]:8443/"


def test_new_certificates_are_taken_without_losing_a_request(quoit, origins, authority, tmp_path):
    pair = authority.issue("a.test", "DNS:a.test", file="reload")
    balancer = listener(quoit, origins(), pair)
    old = pair.der()
    with connect(balancer.port, context(authority)) as before:
        assert ask(before)[0].status == 200
        authority.issue("a.test", "DNS:a.test", file="reload")
        wait_until(lambda: certificate_for(balancer.port, "a.test") == pair.der(), 10,
                   "the new certificate")
        assert pair.der() != old
        assert ask(before)[0].status == 200
        pair.cert.write_text("no certificate\n")
        balancer.signal(signal.SIGHUP)
        wait_until(lambda: balancer.events("tls_kept"), 10, "tls_kept")
        assert any(event["key"] == "listeners.0.tls.certificates.0.cert"
                   for event in balancer.events("tls_failed"))
        with connect(balancer.port, context(authority)) as after:
            assert ask(after)[0].status == 200
        assert ask(before)[0].status == 200


def test_reloads_under_load_lose_no_request(quoit, origins, authority):
    pair = authority.issue("a.test", "DNS:a.test", file="busy")
    balancer = listener(quoit, origins(), pair, configuration={"workers": 2})
    stop, done, failures = threading.Event(), [], []

    def client(n_requests):
        """A new connection for every n_requests."""
        made = context(authority)
        while not stop.is_set():
            try:
                with connect(balancer.port, made) as sock:
                    for _ in range(n_requests):
                        assert ask(sock)[0].status == 200
                        done.append(1)
            except (OSError, AssertionError, http.client.HTTPException) as error:
                failures.append(error)

    clients = [threading.Thread(target=client, args=(n,)) for n in (1, 1, 50, 1000)]
    for thread in clients:
        thread.start()
    for round_number in range(1, 6):
        authority.issue("a.test", "DNS:a.test", file="busy")
        balancer.signal(signal.SIGHUP)
        goal = len(done) + 50
        wait_until(lambda: len(done) > goal, 20, "more requests")
        wait_until(lambda: len(balancer.events("tls_reloaded")) >= round_number, 10, "a reload")
    stop.set()
    for thread in clients:
        thread.join(20)
    assert not failures, failures[:3]


def test_tunnels_pass_each_half_and_its_end(scripted, authority, pairs):
    def script(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
        connection.send(b"got " + connection.read_to_end())

    port, _ = scripted(script, {"listener": {"tls": {"certificates": [pairs["a"].conf]}}})
    raw = socket.create_connection(("127.0.0.1", port), timeout=15)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    made = context(authority).wrap_bio(incoming, outgoing, server_hostname="a.test")

    def until_done(operation):
        while True:
            try:
                return operation()
            except ssl.SSLWantReadError:
                raw.sendall(outgoing.read())
                data = raw.recv(65536)
                if data:
                    incoming.write(data)
                else:
                    incoming.write_eof()

    until_done(made.do_handshake)
    made.write(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
    assert until_done(lambda: made.read(1000)).startswith(b"HTTP/1.1 101")
    made.write(b"hello")
    with pytest.raises(ssl.SSLWantReadError):
        made.unwrap()
    raw.sendall(outgoing.read())
    assert until_done(lambda: made.read(1000)) == b"got hello"
    raw.close()


def test_an_ocsp_response_is_stapled(quoit, origins, authority, pairs, tmp_path):
    leaf = authority.issue("o.test", "DNS:o.test")
    chain = tmp_path / "chain.crt"
    chain.write_bytes(leaf.cert.read_bytes() + authority.cert.read_bytes())
    index = tmp_path / "index"
    serial = openssl("x509", "-in", leaf.cert, "-noout", "-serial").decode().split("=")[1].strip()
    index.write_text(f"V\t301231235959Z\t\t{serial}\tunknown\t/CN=o.test\n")
    request, response = tmp_path / "request", tmp_path / "response"
    openssl("ocsp", "-issuer", authority.cert, "-cert", leaf.cert, "-no_nonce", "-reqout", request)
    openssl("ocsp", "-index", index, "-CA", authority.cert, "-rsigner", authority.cert, "-rkey",
            authority.key, "-reqin", request, "-respout", response, "-ndays", "7")
    port = free_port()
    quoit({"workers": 1, "listeners": [{"address": f"127.0.0.1:{port}", "tls": {"certificates": [
        {"cert": str(chain), "key": str(leaf.key), "ocsp": str(response)}]}}],
           "pools": {"web": static_pool(origins())}})
    text = openssl("s_client", "-connect", f"127.0.0.1:{port}", "-servername", "o.test", "-status",
                   stdin=b"").decode()
    assert "OCSP Response Status: successful" in text


def test_the_end_of_a_certificate_is_in_the_metrics(quoit, origins, pairs):
    balancer = listener(quoit, origins(), pairs["a"])
    (value,) = balancer.metrics().select(
        "quoit_certificate_expiry_seconds", file=str(pairs["a"].cert)).values()
    made = openssl("x509", "-in", pairs["a"].cert, "-noout", "-enddate").decode().strip()
    assert value == ssl.cert_time_to_seconds(made.split("=")[1])


def serve_fails(tmp_path, **certificate):
    """What `serve` says about a certificate that is no good."""
    path = tmp_path / "bad.yaml"
    port = free_port()
    path.write_text(
        f"listeners: [{{ address: '127.0.0.1:{port}', tls: {{ certificates: "
        f"[{{ cert: '{certificate['cert']}', key: '{certificate['key']}' }}] }} }}]\n"
        "pools: { web: { endpoints: ['127.0.0.1:1'] } }\n")
    result = run_quoit("serve", "--config", path)
    assert result.returncode == 1
    return result.stderr


def test_bad_files_stop_the_start_and_say_why(authority, pairs, tmp_path):
    a, other = pairs["a"], pairs["exact"]
    assert re.search(r"certificates\.0\.key .*key values mismatch",
                     serve_fails(tmp_path, cert=a.cert, key=other.key))
    assert "No such file or directory" in serve_fails(tmp_path, cert=a.cert, key="/nowhere")
    text = serve_fails(tmp_path, cert=a.key, key=a.key)
    assert "certificates.0.cert" in text and "no start line" in text
    assert a.key.read_text().splitlines()[1] not in text


def test_an_expired_certificate_is_warned_of(quoit, origins, authority):
    pair = authority.issue("old.test", "DNS:old.test", days=-1)
    balancer = listener(quoit, origins(), pair)
    assert certificate_for(balancer.port, "old.test") == pair.der()
    assert [event["warning"] for event in balancer.events("tls_warning")] == [
        "certificate has expired"]


def test_check_loads_the_files_too(pairs, tmp_path):
    path = tmp_path / "checked.yaml"
    text = ("listeners: [{{ address: ':8443', tls: {{ certificates: [{{ cert: '{0.cert}', "
            "key: '{1.key}' }}] }} }}]\npools: {{ web: {{ endpoints: ['127.0.0.1:1'] }} }}\n")
    path.write_text(text.format(pairs["a"], pairs["a"]))
    assert run_quoit("check", path).returncode == 0
    path.write_text(text.format(pairs["a"], pairs["wild"]))
    result = run_quoit("check", path)
    assert result.returncode == 1
    column = path.read_text().index(f"'{pairs['wild'].key}'") + 1
    assert result.stderr == (
        f'{path}:1:{column}: listeners.0.tls.certificates.0.key: found "{pairs["wild"].key}": '
        "key values mismatch, expected the key of the certificate\n")
    path.write_text("listeners: [{ address: ':8443', tls: { certificates: [], min_version: '1.3', "
                    "max_version: '1.2', client_auth: required } }]\n"
                    "pools: { web: { endpoints: ['127.0.0.1:1'] } }\n")
    result = run_quoit("check", path)
    for key in ("certificates", "max_version", "client_auth"):
        assert f"listeners.0.tls.{key}: found" in result.stderr


def test_check_finds_all_bad_files_each_at_its_place(authority, pairs, tmp_path):
    path = tmp_path / "checked.yaml"
    path.write_text(textwrap.dedent(f"""\
        listeners:
          - address: ':8443'
            tls: {{ acme: a.test }}
          - address: ':8444'
            tls:
              certificates: /nowhere
              client_auth: required
              client_ca_file: {pairs["a"].key}
        acme:
          agree_to_terms: true
          storage: {tmp_path}
          ca_file: /nowhere
        pools:
          a.b:
            endpoints: 127.0.0.1:1
            tls:
              ca_file: /nowhere
        """))
    result = run_quoit("check", path)
    assert result.returncode == 1 and result.stdout == ""
    places = [line.split(": ")[:2] for line in result.stderr.splitlines()]
    assert [(place.removeprefix(f"{path}:"), key) for place, key in places] == [
        ("6:21", "listeners.1.tls.certificates.0.cert"),
        ("8:23", "listeners.1.tls.client_ca_file"),
        ("12:12", "acme.ca_file"),
        ("17:16", "pools.a.b.tls.ca_file"),
    ]
