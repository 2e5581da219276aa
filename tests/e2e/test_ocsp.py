"""OCSP responses that are fetched: stapled when good, and only then; failures in log and metrics."""
import signal
import socket
import time

import pytest

from certificates import Authority, openssl
from ocsp_responder import Responder
from origins import Response
from ports import free_port
from quoit_process import static_pool
from waiting import wait_until

MUST_STAPLE = "tlsfeature=status_request"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def responder(authority):
    """responder(signer) makes one that does not run yet; all are ended."""
    made = []

    def make(signer=None):
        made.append(Responder(authority, signer))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def issue(authority, folder, *more):
    """A certificate for o.test with its issuer behind it in one file, and its key."""
    leaf = authority.issue("o.test", "DNS:o.test", more=more)
    chain = folder / "chain.crt"
    chain.write_bytes(leaf.cert.read_bytes() + authority.cert.read_bytes())
    leaf.cert = chain
    return leaf


def serve(quoit, origins, *certificates, ocsp="fetch"):
    port = free_port()
    balancer = quoit({"workers": 1, "pools": {"web": static_pool(origins())}, "listeners": [{
        "address": f"127.0.0.1:{port}",
        "tls": {"ocsp": ocsp, "certificates": [pair.conf for pair in certificates]}}]})
    balancer.port = port
    return balancer


def stapled(balancer):
    """What a client that asks for it is told: the response as text, or None."""
    text = openssl("s_client", "-connect", f"127.0.0.1:{balancer.port}", "-servername", "o.test",
                   "-status", stdin=b"").decode()
    if "OCSP response: no response sent" in text:
        return None
    assert "OCSP Response Status: successful" in text
    return text


def wait_event(balancer, name, n=1, timeout=60):
    return wait_until(lambda: len(found := balancer.events(name)) >= n and found, timeout,
                      f"{n} events {name}")[-1]


def test_a_response_is_fetched_and_stapled(quoit, origins, authority, responder, tmp_path):
    source = responder()
    leaf = issue(authority, tmp_path, source.extension)
    source.add(leaf)
    source.start()
    balancer = serve(quoit, origins, leaf)
    wait_event(balancer, "ocsp_fetched")
    assert "Cert Status: good" in stapled(balancer)
    metrics = balancer.metrics()
    until = metrics.sum("quoit_ocsp_next_update_seconds", file=str(leaf.cert))
    assert 6 * 86400 < until - time.time() <= 7 * 86400
    assert metrics.sum("quoit_ocsp_failures_total", file=str(leaf.cert)) == 0


def test_a_responder_that_was_down_is_asked_again(quoit, origins, authority, responder, tmp_path):
    source = responder()
    leaf = issue(authority, tmp_path, source.extension)
    source.add(leaf)
    balancer = serve(quoit, origins, leaf)
    assert wait_event(balancer, "ocsp_failed")["level"] == "WARN"
    assert stapled(balancer) is None
    assert balancer.metrics().sum("quoit_ocsp_failures_total") >= 1
    assert balancer.metrics().sum("quoit_ocsp_next_update_seconds") == 0
    source.start()
    wait_event(balancer, "ocsp_fetched")
    assert stapled(balancer)


def test_a_response_outlives_its_responder_and_a_reload(quoit, origins, authority, responder,
                                                        tmp_path):
    source = responder()
    leaf = issue(authority, tmp_path, source.extension)
    source.add(leaf)
    source.start()
    balancer = serve(quoit, origins, leaf)
    wait_event(balancer, "ocsp_fetched")
    source.stop()
    balancer.signal(signal.SIGHUP)
    event = wait_event(balancer, "ocsp_failed")
    assert event["stapled_for_s"] > 6 * 86400
    assert stapled(balancer)


def test_a_new_certificate_does_not_get_the_old_ones_response(quoit, origins, authority,
                                                              responder, tmp_path):
    source = responder()
    leaf = issue(authority, tmp_path, source.extension)
    source.add(leaf)
    source.start()
    balancer = serve(quoit, origins, leaf)
    wait_event(balancer, "ocsp_fetched")
    issue(authority, tmp_path, source.extension)  # the same files; unknown to the responder
    error = wait_event(balancer, "ocsp_failed")["error"]
    assert error == "the OCSP responder does not know the certificate"
    assert stapled(balancer) is None


@pytest.mark.parametrize("answer, error", [
    (Response(503, b"busy"), "HTTP 503"),
    (Response(302, b"", fields=[("Location", "http://127.0.0.1:1/")]), "HTTP 302"),
    (Response(200, b"hello"), "no OCSP response"),
    (Response(200, b"x" * 70000), "the answer is larger than any OCSP response"),
    (Response(200, b"x" * 70000, chunked=True), "the answer is larger than any OCSP response"),
])
def test_other_answers_than_a_response_are_failures(quoit, origins, authority, tmp_path,
                                                    answer, error):
    [source] = origins(1)
    source.behaviour = lambda request: answer
    leaf = issue(authority, tmp_path, f"authorityInfoAccess=OCSP;URI:http://{source.address}/a")
    balancer = serve(quoit, origins, leaf)
    assert wait_event(balancer, "ocsp_failed")["error"] == error
    assert stapled(balancer) is None
    request = source.requests[0]
    assert (request.method, request.target) == ("POST", "/a")
    assert request.header("content-type") == "application/ocsp-request"


def test_a_responder_that_does_not_answer_is_given_up(quoit, origins, authority, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        leaf = issue(authority, tmp_path, "authorityInfoAccess=OCSP;URI:"
                     f"http://127.0.0.1:{silent.getsockname()[1]}/")
        balancer = serve(quoit, origins, leaf)
        assert wait_event(balancer, "ocsp_failed")["error"] == "Timeout was reached"


def test_a_response_of_another_authority_is_not_stapled(quoit, origins, authority, responder,
                                                        tmp_path):
    source = responder(signer=Authority(tmp_path, "other"))
    leaf = issue(authority, tmp_path, source.extension)
    source.add(leaf)
    source.start()
    balancer = serve(quoit, origins, leaf)
    assert "not signed" in wait_event(balancer, "ocsp_failed")["error"]
    assert stapled(balancer) is None


def test_revocation_ends_the_stapling_and_is_an_error(quoit, origins, authority, responder,
                                                      tmp_path):
    source = responder()
    leaf = issue(authority, tmp_path, source.extension)
    source.add(leaf)
    source.start()
    balancer = serve(quoit, origins, leaf)
    wait_event(balancer, "ocsp_fetched")
    source.stop()
    source.index = ""
    source.add(leaf, revoked=True)
    source.start()
    balancer.signal(signal.SIGHUP)
    assert wait_event(balancer, "ocsp_revoked")["level"] == "ERROR"
    assert stapled(balancer) is None
    assert balancer.metrics().sum("quoit_ocsp_failures_total") >= 1


def test_a_certificate_that_names_no_responder_is_told(quoit, origins, authority, tmp_path):
    balancer = serve(quoit, origins, issue(authority, tmp_path))
    warning = wait_event(balancer, "tls_warning")["warning"]
    assert warning == "the certificate names no OCSP responder with an http:// URL"
    assert stapled(balancer) is None


def test_a_certificate_without_its_issuer_is_told(quoit, origins, authority, responder):
    leaf = authority.issue("o.test", "DNS:o.test", more=[responder().extension])
    warning = wait_event(serve(quoit, origins, leaf), "tls_warning")["warning"]
    assert warning == "the certificate's issuer, whom OCSP needs, is not in the file"


def test_clients_that_must_find_a_response_are_thought_of(quoit, origins, authority, responder,
                                                          tmp_path):
    leaf = issue(authority, tmp_path, MUST_STAPLE, responder().extension)
    balancer = serve(quoit, origins, leaf, ocsp="off")
    assert "there is none" in wait_event(balancer, "tls_warning")["warning"]
    balancer = serve(quoit, origins, leaf)
    assert wait_event(balancer, "ocsp_failed")["level"] == "ERROR"
    assert balancer.events("tls_warning") == []


def test_a_response_in_a_file_that_is_no_good_is_not_stapled(quoit, origins, authority, responder,
                                                             tmp_path):
    source = responder()
    leaf = issue(authority, tmp_path, source.extension)
    source.add(leaf)
    # One that does not say until when it is valid cannot be told from one that has expired.
    index, request, response = (tmp_path / name for name in ("index", "request", "response"))
    index.write_text(source.index)
    openssl("ocsp", "-issuer", authority.cert, "-cert", leaf.cert, "-no_nonce", "-reqout", request)
    openssl("ocsp", "-index", index, "-CA", authority.cert, "-rsigner", authority.cert, "-rkey",
            authority.key, "-reqin", request, "-respout", response)
    port = free_port()
    balancer = quoit({"workers": 1, "pools": {"web": static_pool(origins())}, "listeners": [{
        "address": f"127.0.0.1:{port}",
        "tls": {"certificates": [{**leaf.conf, "ocsp": str(response)}]}}]})
    balancer.port = port
    assert "until when" in wait_event(balancer, "tls_warning")["warning"]
    assert stapled(balancer) is None
