"""Certificates on their own: issued by both challenges, kept, renewed, and what goes wrong."""
import http.client
import os
import signal
import socket
import ssl
import stat
import subprocess
from datetime import datetime

import pytest

from acme_front import AcmeFront
from certificates import Authority, openssl
from http_client import get
from pebble import Pebble
from ports import free_port
from quoit_process import BINARY, run_quoit, static_pool
from waiting import wait_until

LONG = 90  # seconds for an authority and a balancer to agree, on a machine that has other work


class Place:
    """An authority, and the ports of the balancer that it will ask on."""

    def __init__(self, folder, authority):
        self.folder, self.authority = folder, authority
        self.storage = folder / "state"
        self.http, self.https = free_port(), free_port()
        self.pebbles, self.fronts = [], []

    def front(self, pebble):
        self.fronts.append(AcmeFront(pebble))
        return self.fronts[-1]

    def pebble(self, **more):
        self.pebbles.append(Pebble(self.folder / f"pebble{len(self.pebbles)}", self.authority,
                                   self.http, self.https, **more))
        return self.pebbles[-1]

    def acme(self, pebble, **more):
        return {"directory": pebble.directory, "ca_file": str(pebble.ca_file),
                "agree_to_terms": True, "storage": str(self.storage), **more}

    def configuration(self, origins, pebble, names, plain=None, tls=None, **more):
        return {
            "workers": 2,
            "listeners": [{"address": f"127.0.0.1:{self.http}", **(plain or {})},
                          {"address": f"127.0.0.1:{self.https}",
                           "tls": tls or {"acme": names}}],
            "acme": self.acme(pebble, **more),
            "pools": {"web": static_pool(origins)},
        }

    def files(self):
        return sorted(self.storage.glob("*/*.pem"))


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def place(tmp_path, authority):
    here = Place(tmp_path, authority)
    yield here
    for front in here.fronts:
        front.close()
    for pebble in here.pebbles:
        pebble.stop()


def unverified():
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    return made


def leaf(port, name):
    """The certificate that a client gets for a name, whoever has signed it."""
    with socket.create_connection(("127.0.0.1", port), timeout=15) as raw, \
            unverified().wrap_socket(raw, server_hostname=name) as sock:
        return sock.getpeercert(binary_form=True)


def ask(port, name, roots, target="/"):
    """A request over TLS whose certificate must be good for the name."""
    context = ssl.create_default_context(cafile=str(roots))
    with socket.create_connection(("127.0.0.1", port), timeout=15) as raw, \
            context.wrap_socket(raw, server_hostname=name) as sock:
        sock.sendall(f"GET {target} HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
        response = http.client.HTTPResponse(sock)
        response.begin()
        return response.status, response.read(), sock.getpeercert()


def ask_plain(place):
    return get(place.http, "/")


def seconds(text):
    return datetime.fromisoformat(text).timestamp()


def wait_events(balancer, name, n=1):
    return wait_until(lambda: len(found := balancer.events(name)) >= n and found, LONG,
                      lambda: f"{n} of {name}; the log is {balancer.log()}")


def der_in(file):
    return openssl("x509", "-in", file, "-outform", "DER")


def names_of(certificate):
    return {value for kind, value in certificate["subjectAltName"] if kind == "DNS"}


@pytest.mark.parametrize("challenge, more", [
    ("tls-alpn-01", {}),
    ("http-01", {"redirect_https": True}),
])
def test_a_certificate_comes_by_itself(quoit, origins, place, tmp_path, challenge, more):
    pebble = place.pebble().start()
    balancer = quoit(place.configuration(origins(), pebble, ["a.test", "b.test"], plain=more,
                                         challenge=challenge, contact="mailto:ops@a.test"))
    event, = wait_events(balancer, "acme_certificate")
    assert event["name"] == "a.test" and event["names"] == "a.test b.test"
    roots = pebble.roots(tmp_path / "roots.pem")
    for name in ("a.test", "b.test"):
        wait_until(lambda: leaf(place.https, "a.test") == der_in(event["file"]), LONG)
        status, _, certificate = ask(place.https, name, roots)
        assert status == 200 and names_of(certificate) == {"a.test", "b.test"}
    if challenge == "http-01":
        wait_until(lambda: {("acme_challenge", 200)} & {
            (line["reason"], line["status"]) for line in balancer.access()}, LONG, balancer.log)
    assert balancer.events("acme_account")[0]["state"] == "new"
    assert len(balancer.events("acme_order")) == 1
    assert balancer.metrics().sum("quoit_acme_orders_total", kind="first", result="ok") == 1
    assert balancer.metrics().sum("quoit_acme_orders_total", result="failed") == 0
    assert [dict(labels)["file"] for labels in
            balancer.metrics().select("quoit_certificate_expiry_seconds")] == [event["file"]]


def test_keys_are_for_nobody_else(quoit, origins, place):
    pebble = place.pebble().start()
    balancer = quoit(place.configuration(origins(), pebble, "a.test"))
    wait_events(balancer, "acme_certificate")
    folder, = place.storage.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(place.storage.stat().st_mode) == 0o700
    assert {file.name for file in folder.iterdir()} == {"account.key", "a.test.pem"}
    for file in folder.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_until_it_is_there_clients_see_a_placeholder(quoit, origins, place):
    pebble = place.pebble()  # not started
    balancer = quoit(place.configuration(origins(), pebble, "a.test"))
    placeholder = leaf(place.https, "a.test")
    text = openssl("x509", "-inform", "DER", "-noout", "-subject", stdin=placeholder).decode()
    assert "self-signed" in text
    failed = wait_events(balancer, "acme_failed")[0]
    assert failed["name"] == "a.test" and failed["at"] == pebble.directory
    assert failed["type"] is None and failed["detail"]
    assert ask_plain(place).status == 200
    assert balancer.admin("/readyz")[0] == 200
    pebble.start()
    balancer.signal(signal.SIGHUP)
    wait_events(balancer, "acme_certificate")
    wait_until(lambda: leaf(place.https, "a.test") != placeholder, LONG)


def test_a_restart_uses_what_is_there_without_an_authority(quoit, origins, place, tmp_path):
    pebble = place.pebble().start()
    configuration = place.configuration(origins(), pebble, "a.test")
    first = quoit(configuration)
    wait_events(first, "acme_certificate")
    roots = pebble.roots(tmp_path / "roots.pem")
    assert first.stop() == 0
    pebble.stop()
    second = quoit(configuration)
    assert ask(place.https, "a.test", roots)[0] == 200
    assert not second.events("acme_order")


def test_an_account_is_known_again(quoit, origins, place):
    pebble = place.pebble().start()
    first = quoit(place.configuration(origins(), pebble, "a.test"))
    wait_events(first, "acme_certificate")
    url = first.events("acme_account")[0]["url"]
    assert first.stop() == 0
    second = quoit(place.configuration(origins(), pebble, ["a.test", "c.test"]))
    wait_events(second, "acme_certificate")
    account = second.events("acme_account")[0]
    assert account["state"] == "known" and account["url"] == url
    assert "not for all the names" in second.events("acme_renewal_due")[0]["why"]


def test_accounts_are_bound_to_external_ones(quoit, origins, place, tmp_path):
    key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
    pebble = place.pebble(bindings={"kid-1": key}).start()
    unbound = quoit(place.configuration(origins(), pebble, "a.test"))
    assert "acme.eab" in wait_events(unbound, "acme_failed")[0]["detail"]
    assert unbound.stop() == 0
    file = tmp_path / "eab"
    file.write_text(key + "\n")
    bound = quoit(place.configuration(origins(), pebble, "a.test",
                                      eab={"kid": "kid-1", "key_file": str(file)}))
    wait_events(bound, "acme_certificate")
    assert key not in bound.log()


def test_renewal_comes_in_time_and_drops_nothing(quoit, origins, place):
    pebble = place.pebble(validity_s=36, nonce_reject=30).start()
    configuration = place.configuration(origins(), pebble, "a.test", key_type="rsa")
    balancer = quoit({**configuration, "client": {"header_timeout": "10m"}})
    wait_events(balancer, "acme_certificate")
    wait_until(lambda: leaf(place.https, "a.test") == der_in(place.files()[0]), LONG)
    first = leaf(place.https, "a.test")
    with socket.create_connection(("127.0.0.1", place.https), timeout=15) as raw, \
            unverified().wrap_socket(raw, server_hostname="a.test") as sock:
        wait_events(balancer, "acme_certificate", 2)
        wait_until(lambda: leaf(place.https, "a.test") != first, LONG)
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        response = http.client.HTTPResponse(sock)
        response.begin()
        assert response.status == 200
    assert "two thirds" in balancer.events("acme_renewal_due")[0]["why"]
    assert balancer.metrics().sum("quoit_acme_orders_total", kind="renewal", result="ok") >= 1
    assert b"rsaEncryption" in openssl("x509", "-in", place.files()[0], "-noout", "-text")


def restart_with_advice(quoit, place, origins, window):
    """A balancer that finds a certificate of the one before, and the authority's advice."""
    front = place.front(place.pebble(nonce_reject=0).start())
    configuration = place.configuration(origins(), front, "a.test")
    first = quoit(configuration)
    wait_events(first, "acme_certificate")
    assert first.stop() == 0
    front.window = window
    return front, configuration


def test_the_authoritys_advice_comes_before_the_usual_time(quoit, origins, place):
    front, configuration = restart_with_advice(quoit, place, origins, (-7200, -3600))
    balancer = quoit(configuration)
    wait_events(balancer, "acme_certificate")
    due, = balancer.events("acme_renewal_due")
    assert "advises" in due["why"]
    first, second = front.payloads("/order-plz")
    assert "replaces" not in first and front.advised()[0] == second["replaces"]
    assert all(second["replaces"].split(".")) and "=" not in second["replaces"]
    # The same advice for the new one is not taken at once: it would never end.
    wait_until(lambda: len(front.advised()) >= 2, LONG)
    assert balancer.metrics().sum("quoit_acme_orders_total", kind="renewal", result="ok") == 1
    assert len(front.payloads("/order-plz")) == 2


def test_an_order_that_replaces_what_was_replaced_is_made_without_that(quoit, origins, place):
    front, configuration = restart_with_advice(quoit, place, origins, (-7200, -3600))
    problem = b'{"type": "urn:ietf:params:acme:error:alreadyReplaced", "detail": "once only"}'
    front.busy["/order-plz"] = [(409, [], problem)]
    balancer = quoit(configuration)
    wait_events(balancer, "acme_certificate")
    assert ["replaces" in order for order in front.payloads("/order-plz")[-2:]] == [True, False]
    assert not balancer.events("acme_failed")


def test_an_account_that_the_authority_has_lost_is_made_again(quoit, origins, place):
    front = place.front(place.pebble(validity_s=36).start())
    balancer = quoit(place.configuration(origins(), front, "a.test"))
    wait_events(balancer, "acme_certificate")
    lost = b'{"type": "urn:ietf:params:acme:error:accountDoesNotExist", "detail": "who?"}'
    front.busy["/order-plz"] = [(400, [], lost)]
    wait_events(balancer, "acme_certificate", 2)
    assert [event["state"] for event in balancer.events("acme_account")] == ["new", "known"]
    assert not balancer.events("acme_failed")


def test_retry_after_is_honoured(quoit, origins, place):
    front = place.front(place.pebble().start())
    problem = (b'{"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many",'
               b' "subproblems": [{"type": "urn:ietf:params:acme:error:rateLimited",'
               b' "detail": "of these", "identifier": {"type": "dns", "value": "a.test"}}]}')
    front.busy["/order-plz"] = [(429, [("Retry-After", "43200")], problem)]
    balancer = quoit(place.configuration(origins(), front, "a.test"))
    failed, = wait_events(balancer, "acme_failed")
    assert failed["type"] == "rateLimited" and failed["detail"] == "too many"
    assert failed["subproblems"] == "a.test: rateLimited: of these"
    wait_s = seconds(failed["tried_again"]) - seconds(failed["time"])
    assert 43190 < wait_s < 43210
    balancer.signal(signal.SIGHUP)
    wait_events(balancer, "acme_certificate")


def test_an_authority_in_trouble_is_left_alone(quoit, origins, place):
    front = place.front(place.pebble().start())
    front.busy["/dir"] = [(503, [("Retry-After", "7200")], b"")]
    balancer = quoit(place.configuration(origins(), front, None, tls={
        "certificates": [{"acme": "a.test"}, {"acme": "b.test"}]}))
    failed, = wait_events(balancer, "acme_failed")
    assert failed["type"] == "HTTP status 503"
    assert 7190 < seconds(failed["tried_again"]) - seconds(failed["time"]) < 7210
    balancer.signal(signal.SIGHUP)
    wait_events(balancer, "acme_certificate", 2)
    assert len(balancer.events("acme_failed")) == 1


@pytest.mark.parametrize("text, words", [
    (b"{" + b" " * 400000 + b"}", "too large"),
    (b"<html>", "no JSON object"),
    (b'{"newNonce": "file:///etc/passwd"}', "no newNonce"),
], ids=["large", "page", "file"])
def test_answers_that_are_none_are_told_of(quoit, origins, place, text, words):
    front = place.front(place.pebble().start())
    front.busy["/dir"] = [(200, [], text)]
    balancer = quoit(place.configuration(origins(), front, "a.test"))
    failed, = wait_events(balancer, "acme_failed")
    assert words in failed["detail"] and failed["at"] == front.directory
    assert ask_plain(place).status == 200


@pytest.mark.parametrize("path, location", [
    ("/sign-me-up", b""), ("/order-plz", b"https://localhost/\xff"), ("/order-plz", b"gopher://x/")])
def test_locations_that_are_none_are_told_of(quoit, origins, place, path, location):
    front = place.front(place.pebble().start())
    order = (b'{"status": "pending", "finalize": "https://localhost/f",'
             b' "authorizations": ["https://localhost/a"]}')
    front.busy[path] = [(201, [("Replay-Nonce", "abc"), ("Location", location.decode("latin-1"))],
                         order)]
    balancer = quoit(place.configuration(origins(), front, "a.test"))
    failed, = wait_events(balancer, "acme_failed")
    assert "has no URL" in failed["detail"]
    assert ask_plain(place).status == 200


def test_an_authority_that_keeps_silent_is_in_nobodys_way(quoit, origins, place):
    front = place.front(place.pebble().start())
    front.held.clear()
    balancer = quoit(place.configuration(origins(), front, "a.test"))
    wait_until(lambda: front.requests, LONG)
    assert ask_plain(place).status == 200 and balancer.admin("/readyz")[0] == 200
    assert balancer.stop() == 0


def test_a_challenge_needs_nothing_that_clients_must_have(quoit, origins, place, authority):
    pebble = place.pebble().start()
    balancer = quoit(place.configuration(origins(), pebble, None, tls={
        "acme": "a.test", "strict_sni": True, "client_auth": "required", "alpn": ["h2"],
        "client_ca_file": str(authority.cert), "ocsp": "fetch"}))
    wait_events(balancer, "acme_certificate")
    wait_until(lambda: len(balancer.events("tls_reloaded")) == 1, LONG)
    assert not balancer.events("acme_failed")


def test_a_storage_that_is_none_is_told_of(quoit, origins, place):
    place.storage.write_text("a file")
    balancer = quoit(place.configuration(origins(), place.pebble().start(), "a.test"))
    failed = wait_events(balancer, "acme_failed")[0]
    assert failed["at"].startswith(str(place.storage)) and failed["detail"] == "Not a directory"
    assert ask_plain(place).status == 200
    place.storage.unlink()
    balancer.signal(signal.SIGHUP)
    wait_events(balancer, "acme_certificate")


def test_a_name_that_was_not_ordered_is_not_proven(quoit, origins, place):
    front = place.front(place.pebble().start())
    front.renames = (b"a.test", b"z.test")  # in authorizations
    balancer = quoit(place.configuration(origins(), front, "a.test"))
    failed, = wait_events(balancer, "acme_failed")
    assert "not ordered" in failed["detail"] and "/authZ/" in failed["at"]
    assert not any("/chalZ/" in path for _, path, _ in front.requests)


def test_a_refusal_is_told_in_full_and_touches_nothing_else(quoit, origins, place, authority):
    pebble = place.pebble(blocked=["bad.test"]).start()
    pair = authority.issue("own.test", "DNS:own.test")
    balancer = quoit(place.configuration(
        origins(), pebble, None,
        tls={"certificates": [pair.conf, {"acme": ["bad.test"]}, {"acme": "good.test"}]}))
    failed, = wait_events(balancer, "acme_failed")
    assert failed["name"] == "bad.test" and failed["type"] == "rejectedIdentifier"
    assert "bad.test" in failed["detail"] and failed["tried_again"]
    event, = wait_events(balancer, "acme_certificate")
    assert event["name"] == "good.test"
    assert leaf(place.https, "own.test") == pair.der()
    assert balancer.metrics().sum("quoit_acme_orders_total", kind="first", result="failed") == 1
    assert len(balancer.events("acme_failed")) == 1  # no sooner than in minutes again


def test_a_challenge_that_fails_is_told_with_the_authoritys_words(quoit, origins, place):
    pebble = place.pebble().start()
    configuration = place.configuration(origins(), pebble, "a.test", challenge="http-01")
    configuration["listeners"][0]["address"] = f"127.0.0.1:{free_port()}"
    balancer = quoit(configuration)
    failed, = wait_events(balancer, "acme_failed")
    assert failed["type"] == "connection" and "a.test" in failed["detail"]
    assert not place.files()


def test_a_key_that_others_may_read_is_not_used(quoit, origins, place):
    pebble = place.pebble().start()
    first = quoit(place.configuration(origins(), pebble, "a.test"))
    wait_events(first, "acme_certificate")
    assert first.stop() == 0
    folder, = place.storage.iterdir()
    os.chmod(folder / "account.key", 0o644)
    os.chmod(folder / "a.test.pem", 0o640)
    second = quoit(place.configuration(origins(), pebble, ["a.test", "b.test"]))
    failed = wait_events(second, "acme_failed")[0]
    assert failed["at"] == str(folder / "account.key") and "chmod 600" in failed["detail"]
    assert second.events("acme_unsafe")[0]["file"] == str(folder / "a.test.pem")
    os.chmod(folder / "account.key", 0o600)
    second.signal(signal.SIGHUP)
    wait_events(second, "acme_certificate")
    assert stat.S_IMODE((folder / "a.test.pem").stat().st_mode) == 0o600


def test_requests_for_other_tokens_go_their_way(quoit, origins, place):
    origin, = origins()
    pebble = place.pebble()
    quoit(place.configuration([origin], pebble, "a.test", challenge="http-01"))
    target = "/.well-known/acme-challenge/unknown"
    assert get(place.http, target).body == f"origin0 GET {target}\n".encode()


def test_without_a_challenge_its_protocol_is_refused(quoit, origins, place):
    quoit(place.configuration(origins(), place.pebble(), "a.test"))
    made = unverified()
    made.set_alpn_protocols(["acme-tls/1"])
    with socket.create_connection(("127.0.0.1", place.https), timeout=15) as raw, \
            pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        made.wrap_socket(raw, server_hostname="a.test")


def test_a_name_on_the_command_line_is_enough(origins, place, tmp_path):
    pebble = place.pebble().start()
    origin, = origins()
    more = {"acme.directory": pebble.directory, "acme.ca_file": pebble.ca_file,
            "acme.storage": place.storage}
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen(
            [BINARY, "serve", "--listen", f"127.0.0.1:{place.https}", "--acme", "a.test", "--acme",
             "b.test", "--agree-to-terms", "--backend", origin.address,
             *(word for pair in more.items() for word in ("--set", "=".join(map(str, pair))))],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_until(place.files, LONG, (tmp_path / "log").read_text)
        wait_until(lambda: leaf(place.https, "a.test") == der_in(place.files()[0]), LONG)
        roots = pebble.roots(tmp_path / "roots.pem")
        status, _, certificate = ask(place.https, "b.test", roots)
        assert status == 200 and names_of(certificate) == {"a.test", "b.test"}
    finally:
        process.terminate()
        assert process.wait(30) == 0, (tmp_path / "log").read_text()


def test_an_authority_that_is_not_there_is_asked_for_one_at_a_time(quoit, origins, place):
    configuration = place.configuration(
        origins(), place.pebble(), None,
        tls={"certificates": [{"acme": f"{name}.test"} for name in "abc"]})
    balancer = quoit(configuration)
    first, second = wait_events(balancer, "acme_failed", 2)[:2]
    assert first["name"] == second["name"] == "a.test"
    assert seconds(second["time"]) - seconds(first["time"]) > 3


def test_check_says_what_is_wrong(tmp_path):
    file = tmp_path / "quoit.yaml"
    file.write_text("listeners: [{address: ':443', tls: {acme: ['*.a.test']}}]\n"
                    "pools: {web: {endpoints: ['127.0.0.1:1']}}\n"
                    "acme: {contact: ops@a.test, directory: 'http://ca.test/'}\n")
    result = run_quoit("check", file)
    assert result.returncode == 1
    for key in ("listeners.0.tls.acme", "acme.contact", "acme.directory"):
        assert key in result.stderr
