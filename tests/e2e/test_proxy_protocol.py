"""The PROXY protocol: taken from trusted proxies only, and sent to endpoints that want it."""
import contextlib
import pathlib
import re
import shutil
import socket
import struct
import subprocess

import pytest

from http_client import RawClient, raw
from ports import free_port, is_free
from scripted import reply, values_of
from waiting import wait_until

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n"
V2 = SIGNATURE + b"\x21\x11\0\x0c" + bytes([192, 0, 2, 7, 198, 51, 100, 1]) + \
    struct.pack(">HH", 56324, 443)
V1_IPV6 = b"PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n"
V2_IPV6 = SIGNATURE + b"\x21\x21\0\x24" + socket.inet_pton(socket.AF_INET6, "2001:db8::7") + \
    socket.inet_pton(socket.AF_INET6, "2001:db8::1") + struct.pack(">HH", 56324, 443)
LOCAL = SIGNATURE + b"\x20\0\0\0"
UNSPEC = SIGNATURE + b"\x21\0\0\4abcd"

needs_haproxy = pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is not there")


def request(*fields, line=b"GET / HTTP/1.1"):
    return b"\r\n".join([line, b"Host: a.example", *fields, b"", b""])


CLOSE = request(b"Connection: close")


def answer_each(connection):
    while True:
        connection.read_head()
        connection.send(reply())


def answer_behind(n):
    """The same where n bytes come before the first request (version 2 holds an empty line)."""
    def script(connection):
        connection.read_exactly(n)
        answer_each(connection)
    return script


@pytest.fixture
def proxied(scripted):
    """proxied(trusted, **more): a balancer whose listener wants the header; (port, origin)."""
    def start(trusted="127.0.0.1", **more):
        port = free_port()
        _, origin = scripted(answer_each, {
            "listeners": [{"address": f"127.0.0.1:{port}", "proxy_protocol": True}],
            "client": {"trusted_proxies": trusted, **more.pop("client", {})}, **more})
        return port, origin
    return start


def refused(balancer, reason):
    return balancer.metrics().sum("quoit_client_connections_refused_total", reason=reason)


# --- taken ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("header, client", [
    (V1, "192.0.2.7"), (V2, "192.0.2.7"), (V1_IPV6, "2001:db8::7"), (V2_IPV6, "2001:db8::7")])
def test_the_header_says_who_the_client_is(proxied, header, client):
    port, origin = proxied(forwarded_headers={"family": "both"})
    assert raw(port, header + CLOSE).startswith(b"HTTP/1.1 200 ")
    assert values_of(origin.received, b"x-forwarded-for") == [client.encode()]
    assert values_of(origin.received, b"x-forwarded-port") == [b"443"]
    [forwarded] = values_of(origin.received, b"forwarded")
    assert client.encode() in forwarded
    [line] = origin.balancer.wait_access(1)
    assert (line["client"], line["client_port"]) == (client, 56324)


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ::1 ::2 1 2\r\n", LOCAL,
                                    UNSPEC])
def test_a_header_without_addresses_leaves_the_connections_own(proxied, header):
    port, origin = proxied()
    assert raw(port, header + CLOSE).startswith(b"HTTP/1.1 200 ")
    assert values_of(origin.received, b"x-forwarded-for") == [b"127.0.0.1"]
    assert values_of(origin.received, b"x-forwarded-port") == [b"%d" % port]


@pytest.mark.parametrize("header", [V1, V2])
def test_the_header_may_come_byte_by_byte_and_counts_for_all_requests(proxied, header):
    port, origin = proxied()
    with RawClient(port) as client:
        for i in range(len(header)):
            client.send(header[i:i + 1])
        for _ in range(3):
            client.send(request())
            client.read_until(b"\r\n\r\nok")
    assert values_of(origin.connections[0].received, b"x-forwarded-for") == [b"192.0.2.7"]
    assert origin.received.count(b"X-Forwarded-For: 192.0.2.7\r\n") == 3


def test_whom_the_header_names_is_not_trusted_for_it(proxied):
    port, origin = proxied(["127.0.0.1", "192.0.2.99"])
    raw(port, V1 + request(b"X-Forwarded-For: 203.0.113.1", b"Connection: close"))
    assert values_of(origin.received, b"x-forwarded-for") == [b"192.0.2.7"]
    raw(port, V1.replace(b"192.0.2.7", b"192.0.2.99")
        + request(b"X-Forwarded-For: 203.0.113.1", b"Connection: close"))
    assert b"X-Forwarded-For: 203.0.113.1, 192.0.2.99\r\n" in origin.received


def test_requests_are_hashed_by_the_client_in_the_header(quoit, origins):
    port = free_port()
    started = origins(3)
    quoit({"listeners": [{"address": f"127.0.0.1:{port}", "proxy_protocol": True}],
           "client": {"trusted_proxies": "127.0.0.1"},
           "pools": {"web": {"endpoints": [o.address for o in started], "hash_key": "client"}}})
    homes = {}
    for i in 2 * list(range(20)):
        header = b"PROXY TCP4 192.0.2.%d 198.51.100.1 1 2\r\n" % i
        [home] = values_of(raw(port, header + CLOSE), b"x-origin")
        assert homes.setdefault(i, home) == home
    assert len(set(homes.values())) == 3


# --- refused --------------------------------------------------------------------------------------


def test_an_address_that_is_not_trusted_is_refused_whatever_it_sends(proxied):
    port, origin = proxied("192.0.2.0/24")
    for data in (V1 + CLOSE, CLOSE):
        with RawClient(port) as client:
            with contextlib.suppress(OSError):
                client.send(data)
            assert client.read_to_end() == b""
    wait_until(lambda: refused(origin.balancer, "proxy_refused") == 2)
    assert origin.received == b"" and refused(origin.balancer, "proxy_bad") == 0
    [event] = origin.balancer.events("connections_refused")
    assert (event["reason"], event["last_client"]) == ("proxy_refused", "127.0.0.1")


WRONG = {
    "none": CLOSE,
    "bare line feed": V1.replace(b"\r\n", b"\n") + CLOSE,
    "zeros before a port": V1.replace(b" 443", b" 0443") + CLOSE,
    "families mixed": b"PROXY TCP4 192.0.2.7 ::1 1 2\r\n" + CLOSE,
    "too long": b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n" + CLOSE,
    "version 3": SIGNATURE + b"\x31" + V2[13:] + CLOSE,
    "unknown command": SIGNATURE + b"\x22" + V2[13:] + CLOSE,
    "unknown family": SIGNATURE + b"\x21\x41" + V2[14:] + CLOSE,
    "short block": SIGNATURE + b"\x21\x11\0\x08" + V2[16:24] + CLOSE,
    "broken TLV": SIGNATURE + b"\x21\x11\0\x0e" + V2[16:] + b"\4\0" + CLOSE,
    "wrong checksum": SIGNATURE + b"\x21\x11\0\x13" + V2[16:] + b"\3\0\4\0\0\0\0" + CLOSE,
    "too much": SIGNATURE + b"\x21\x11\xff\xff" + V2[16:],
    "TLS": b"\x16\x03\x01\x02\x00",
}


@pytest.mark.parametrize("name", WRONG)
def test_a_connection_that_begins_otherwise_is_closed_without_a_word(proxied, name):
    port, origin = proxied()
    assert raw(port, WRONG[name]) == b""
    wait_until(lambda: refused(origin.balancer, "proxy_bad") == 1)
    assert origin.received == b""


def test_a_second_header_is_no_request(proxied):
    port, origin = proxied()
    assert raw(port, V1 + V1 + CLOSE).startswith(b"HTTP/1.1 400 ")
    assert origin.received == b""


@pytest.mark.parametrize("sent", [b"", V1[:20], V2[:14], V2[:-1]])
def test_a_header_that_does_not_come_in_time_is_refused(proxied, sent):
    port, origin = proxied(client={"header_timeout": "100ms"})
    with RawClient(port) as client:
        client.send(sent)
        assert client.read_to_end() == b""
    wait_until(lambda: refused(origin.balancer, "proxy_bad") == 1)


def test_a_header_cut_short_is_refused_and_a_mere_look_is_not(proxied):
    port, origin = proxied()
    with RawClient(port) as client:
        client.half_close()
        assert client.read_to_end() == b""
    with RawClient(port) as client:
        client.send(V2[:-1])
        client.half_close()
        assert client.read_to_end() == b""
    wait_until(lambda: refused(origin.balancer, "proxy_bad") == 1)


def test_the_limit_on_an_addresss_connections_counts_the_client_in_the_header(proxied):
    port, origin = proxied(client={"max_connections_per_address": 2})
    with contextlib.ExitStack() as stack:
        def connect(address):
            client = stack.enter_context(RawClient(port))
            client.send(V1.replace(b"192.0.2.7", address) + request())
            return client

        for address in 2 * [b"192.0.2.7", b"192.0.2.8"]:
            connect(address).read_until(b"\r\n\r\nok")
        assert connect(b"192.0.2.7").read_to_end() == b""
        connect(b"192.0.2.9").read_until(b"\r\n\r\nok")
    wait_until(lambda: refused(origin.balancer, "address_full") == 1)
    [event] = origin.balancer.events("connections_refused")
    assert event["last_client"] == "192.0.2.7"
    wait_until(lambda: raw(port, V1 + CLOSE) != b"")


def test_only_the_listener_that_says_so_wants_the_header(scripted):
    plain, wanting = free_port(), free_port()
    _, origin = scripted(answer_each, {
        "listeners": [f"127.0.0.1:{plain}",
                      {"address": f"127.0.0.1:{wanting}", "proxy_protocol": True}],
        "client": {"trusted_proxies": "127.0.0.1"}})
    assert raw(plain, CLOSE).startswith(b"HTTP/1.1 200 ")
    assert raw(plain, V1 + CLOSE).startswith(b"HTTP/1.1 400 ")
    assert raw(wanting, V1 + CLOSE).startswith(b"HTTP/1.1 200 ")


# --- sent -----------------------------------------------------------------------------------------


def ends(client):
    (address, port), (to, to_port) = client.sock.getsockname(), client.sock.getpeername()
    return socket.inet_aton(address), socket.inet_aton(to), port, to_port


def test_version_1_is_sent_with_the_ends_of_the_clients_connection(scripted):
    port, origin = scripted(answer_each, send_proxy_protocol="v1")
    with RawClient(port) as client:
        client.send(CLOSE)
        client.read_to_end()
        _, _, source, destination = ends(client)
    assert origin.received.startswith(
        b"PROXY TCP4 127.0.0.1 127.0.0.1 %d %d\r\nGET / HTTP/1.1\r\n" % (source, destination))


def test_version_2_is_sent_with_the_ends_of_the_clients_connection(scripted):
    port, origin = scripted(answer_behind(len(V2)), send_proxy_protocol="v2")
    with RawClient(port) as client:
        client.send(CLOSE)
        client.read_to_end()
        source, destination, *two_ports = ends(client)
    assert origin.received.startswith(
        SIGNATURE + b"\x21\x11\0\x0c" + source + destination + struct.pack(">HH", *two_ports)
        + b"GET / HTTP/1.1\r\n")


def test_an_ipv4_client_of_an_ipv6_socket_is_one_of_ipv4(scripted):
    port = free_port()
    _, origin = scripted(answer_each, {"listeners": [f":{port}"]}, send_proxy_protocol="v1")
    with RawClient(port) as client:
        client.send(CLOSE)
        client.read_to_end()
        source = client.sock.getsockname()[1]
    assert origin.received.startswith(b"PROXY TCP4 127.0.0.1 127.0.0.1 %d %d\r\n" % (source, port))


@pytest.mark.parametrize("header, version, expected", [
    (V1, "v2", V2), (V2_IPV6, "v1", V1_IPV6), (V2_IPV6, "v2", V2_IPV6)])
def test_what_came_in_a_header_goes_on_in_one(scripted, header, version, expected):
    port = free_port()
    _, origin = scripted(answer_behind(len(expected)), {
        "listeners": [{"address": f"127.0.0.1:{port}", "proxy_protocol": True}],
        "client": {"trusted_proxies": "127.0.0.1"}}, send_proxy_protocol=version)
    assert raw(port, header + CLOSE).startswith(b"HTTP/1.1 200 ")
    assert origin.received.startswith(expected + b"GET / ")


def test_no_two_requests_share_a_connection_that_began_with_a_header(scripted):
    port, origin = scripted(answer_each, send_proxy_protocol="v1")
    with RawClient(port) as first, RawClient(port) as second:
        for _ in range(3):
            for client in (first, second):
                client.send(request())
                client.read_until(b"\r\n\r\nok")
        ports = [client.sock.getsockname()[1] for client in (first, second)] * 3
    said = [int(re.match(rb"PROXY TCP4 127.0.0.1 127.0.0.1 (\d+) ", c.received)[1])
            for c in origin.connections]
    assert said == ports
    assert all(c.received.count(b"PROXY") == 1 and c.received.count(b"GET /") == 1
               for c in origin.connections)


def test_another_attempt_begins_with_a_header_too(scripted):
    def script(connection):
        connection.read_head()
        if connection.number > 0:
            connection.send(reply())

    port, origin = scripted(script, n_endpoints=2, send_proxy_protocol="v1")
    assert raw(port, CLOSE).startswith(b"HTTP/1.1 200 ")
    assert len(origin.connections) == 2
    assert all(c.received.startswith(b"PROXY TCP4 ") for c in origin.connections)


def test_a_tunnel_begins_with_a_header_too(scripted):
    def script(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        connection.send(connection.read_exactly(5))

    port, origin = scripted(script, send_proxy_protocol="v1")
    with RawClient(port) as client:
        client.send(request(b"Connection: upgrade", b"Upgrade: x"))
        client.read_until(b"\r\n\r\n")
        client.send(b"hello")
        assert client.read_exactly(5) == b"hello"
    assert origin.received.startswith(b"PROXY TCP4 ")


# --- real peers -----------------------------------------------------------------------------------


@contextlib.contextmanager
def haproxy(folder, port, configuration):
    """A HAProxy that listens on the port."""
    path = pathlib.Path(folder) / "haproxy.cfg"
    path.write_text("defaults\n timeout connect 5s\n timeout client 15s\n timeout server 15s\n"
                    + configuration, encoding="ascii")
    process = subprocess.Popen(["haproxy", "-db", "-f", str(path)], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: process.poll() is not None or not is_free(port), 10, "haproxy listens")
        assert process.poll() is None, "haproxy did not start"
        yield
    finally:
        process.kill()
        process.wait(10)


@needs_haproxy
@pytest.mark.parametrize("options", [
    "send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"])
def test_haproxy_in_front_says_who_the_client_is(proxied, tmp_path, options):
    port, origin = proxied()
    front = free_port()
    with haproxy(tmp_path, front, f"""
frontend front
 mode tcp
 bind 127.0.0.1:{front}
 default_backend back
backend back
 mode tcp
 source 127.0.0.1
 server quoit 127.0.0.1:{port} check inter 50ms {options}
"""):
        with RawClient(front) as client:
            client.send(CLOSE)
            assert client.read_to_end().startswith(b"HTTP/1.1 200 ")
            address, source = client.sock.getsockname()
    [line] = origin.balancer.wait_access(1)
    assert (line["client"], line["client_port"]) == (address, source)
    assert values_of(origin.received, b"x-forwarded-port") == [b"%d" % front]
    assert refused(origin.balancer, "proxy_bad") == 0


@needs_haproxy
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_haproxy_behind_learns_who_the_client_is(quoit, origins, tmp_path, version):
    [origin] = origins(1)
    back = free_port()
    with haproxy(tmp_path, back, f"""
frontend back
 mode http
 bind 127.0.0.1:{back} accept-proxy
 http-request set-header X-Seen %[src]:%[src_port]->%[dst]:%[dst_port]
 default_backend origin
backend origin
 mode http
 server origin {origin.address}
"""):
        port = free_port()
        quoit({"listeners": [{"address": f"127.0.0.1:{port}", "proxy_protocol": True}],
               "client": {"trusted_proxies": "127.0.0.1"},
               "pools": {"web": {"endpoints": [f"127.0.0.1:{back}"],
                                 "health_check": {"path": "/health", "initial": "down",
                                                  "interval": "50ms"},
                                 "send_proxy_protocol": version}}})
        wait_until(lambda: origin.health_checks > 0)
        wait_until(lambda: raw(port, V1 + CLOSE).startswith(b"HTTP/1.1 200 "))
        for header in (V1, V1_IPV6):
            assert raw(port, header + CLOSE).startswith(b"HTTP/1.1 200 ")
    assert [got.header("x-seen") for got in origin.requests[-2:]] == [
        "192.0.2.7:56324->198.51.100.1:443", "2001:db8::7:56324->2001:db8::1:443"]
