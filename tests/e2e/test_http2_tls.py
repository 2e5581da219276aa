"""HTTP/2 over TLS: agreed on by ALPN, with the same tunnels, names and logs as without TLS."""
import subprocess

import pytest

from certificates import Authority
from quoit_process import static_pool


@pytest.fixture
def h2_tls(quoit, origins, tmp_path):
    """h2_tls(http2, TLS options) starts a balancer: (url, path of the CA, origin, balancer)."""
    authority = Authority(tmp_path)
    pair = authority.issue("a.test", "DNS:localhost")

    def start(http2="agreed", **tls):
        [origin] = origins(1)
        balancer = quoit({"listener": {"http2": http2, "tls": {"certificates": [pair.conf], **tls}},
                          "pools": {"web": static_pool([origin])}})
        return f"https://localhost:{balancer.port}", str(authority.cert), origin, balancer
    return start


def curl(ca, url, *options):
    """(version, status, body)"""
    out = subprocess.run(
        ["curl", "-sS", "--ipv4", "--cacert", ca, "-w", "\n%{http_version} %{http_code}", *options,
         url], check=True, capture_output=True, timeout=30).stdout
    body, _, last = out.rpartition(b"\n")
    version, status = last.decode().split()
    return version, int(status), body


def test_clients_that_know_both_get_http_2(h2_tls):
    url, ca, origin, balancer = h2_tls()
    assert curl(ca, url + "/a?bytes=2000000")[0] == "2"
    assert curl(ca, url + "/b", "--http1.1")[0] == "1.1"
    assert curl(ca, url + "/c", "-T", "/bin/sh")[1] == 200
    with open("/bin/sh", "rb") as program:
        assert origin.requests[-1].body == program.read()
    assert [r.header("x-forwarded-proto") for r in origin.requests] == ["https"] * 3
    lines = sorted(balancer.wait_access(3), key=lambda line: line["target"])
    assert [(line["version"], line["alpn"]) for line in lines] == [
        ("2.0", "h2"), ("1.1", "http/1.1"), ("2.0", "h2")]


def test_a_listener_may_leave_http_2_out(h2_tls):
    for options in {"alpn": ["http/1.1"]}, {"http2": "off"}:
        url, ca, _, _ = h2_tls(**options)
        assert curl(ca, url, "--http2")[0] == "1.1"


def test_h2load_over_tls(h2_tls):
    url, _, _, balancer = h2_tls()
    out = subprocess.run(["h2load", "-n2000", "-c4", "-m16", url.replace("localhost", "127.0.0.1")],
                         check=True, capture_output=True, timeout=60, text=True).stdout
    assert "2000 succeeded, 0 failed, 0 errored" in out
    assert {line["version"] for line in balancer.wait_access(2000)} == {"2.0"}
