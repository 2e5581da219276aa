"""A real browser, Chromium without a window, loads a page through the balancer over HTTPS.

The page loads many resources at once, uploads, and talks over a WebSocket; at its end it tells the
origin what it has seen. Run by ./dev browser: Chromium is too large a package for ./dev test.
"""
import base64
import contextlib
import hashlib
import json
import shutil
import subprocess

import pytest

from certificates import Authority, openssl
from origins import Origin, Response
from quoit_process import Quoit, static_pool
from waiting import wait_until
from websocket_client import CLOSE, frame, read_frame, switch

IMAGES = 60
UPLOAD_BYTES = 400_000
IMAGE = b'<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"><!--%s--></svg>' % (b"x" * 5000)

PAGE = """<!DOCTYPE html><title>page</title><body><script>
const images = Array.from({length: %(images)d}, (_, i) => new Promise((done) => {
    const image = new Image();
    image.onload = () => done(1);
    image.onerror = () => done(0);
    image.src = "/image/" + i;
    document.body.append(image);
}));
const socket = (text) => new Promise((done) => {
    const one = new WebSocket("wss://" + location.host + "/socket", "chat.v2");
    let heard = "";
    one.onopen = () => { one.send(text); one.send("x".repeat(100000)); one.send("end"); };
    one.onmessage = (event) => {
        heard += event.data.length > 100 ? event.data.length + "," : event.data + ",";
        if (event.data == "end") one.close(4000, "enough");
    };
    one.onclose = (event) => done(heard + event.code + "," + one.protocol);
});
const upload = () => fetch("/upload", {method: "POST", body: "u".repeat(%(upload)d)})
    .then((answer) => answer.text());
const tell = (what) => fetch("/done", {method: "POST", body: JSON.stringify(what)});
Promise.all(images).then(async (loaded) => tell({
    images: loaded.reduce((sum, one) => sum + one, 0),
    upload: await upload(),
    socket: await socket("hello"),
    protocols: [...new Set(performance.getEntriesByType("resource")
                           .filter((one) => one.name.includes("/image/"))
                           .map((one) => one.nextHopProtocol))],
})).catch((error) => tell({error: String(error)}));
</script>""" % {"images": IMAGES, "upload": UPLOAD_BYTES}


def echo(connection, request):
    """WebSocket messages come back until the client closes."""
    connection.send(switch(request.head, (b"Sec-WebSocket-Protocol", b"chat.v2")))
    while True:
        kind, payload, last = read_frame(connection.take)
        connection.send(frame(kind, payload, last, masked=False))
        if kind == CLOSE:
            return False


class Site:
    """The origin behind the page, and what the page has told it."""

    def __init__(self, origin):
        self.told = None
        origin.raw_behaviour = self._serve

    def _serve(self, connection, request):
        if request.path == "/socket":
            return echo(connection, request)
        connection.read_body(request)
        kind, body = self._answer(request)
        response = Response(200, body, [("content-type", kind), ("cache-control", "no-store")])
        connection.send(response.head() + body)
        return True

    def _answer(self, request):
        if request.path.startswith("/image/"):
            return "image/svg+xml", IMAGE
        if request.path == "/upload":
            return "text/plain", b"%d" % len(request.body)
        if request.path == "/done":
            self.told = request.body.decode()
        return "text/html", PAGE.encode()


def public_key_digest(pair):
    key = openssl("x509", "-in", pair.cert, "-noout", "-pubkey")
    return base64.b64encode(hashlib.sha256(openssl("pkey", "-pubin", "-outform", "DER", stdin=key))
                            .digest()).decode()


@contextlib.contextmanager
def chromium(url, pair, folder):
    """A browser at a page, which may talk to localhost only."""
    program = shutil.which("chromium")
    assert program, "chromium is not there"
    with open(folder / "chromium.log", "wb") as log:
        process = subprocess.Popen([
            program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-extensions", "--disable-sync",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost",
            f"--ignore-certificate-errors-spki-list={public_key_digest(pair)}",
            f"--user-data-dir={folder}/profile", url],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture
def visit(tmp_path):
    """visit(**a listener's tls): (what the page told, access log)."""
    pair = Authority(tmp_path).issue("localhost", "DNS:localhost")

    def run(**tls):
        with Origin() as origin:
            site = Site(origin)
            balancer = Quoit({"listener": {"tls": {"certificates": [pair.conf], **tls}},
                              "pools": {"web": static_pool([origin])}}, tmp_path, "quoit")
            balancer.start()
            with chromium(f"https://localhost:{balancer.port}/", pair, tmp_path) as browser:
                wait_until(lambda: site.told or browser.poll() is not None, 120,
                           lambda: (tmp_path / "chromium.log").read_text(errors="replace")[-3000:])
            balancer.close()
            return json.loads(site.told), balancer.access()
    return run


def seen(protocol):
    """What the page tells when all is well."""
    return {"images": IMAGES, "upload": str(UPLOAD_BYTES), "protocols": [protocol],
            "socket": "hello,100000,end,4000,chat.v2"}


def lines_of(access, begin):
    return [line for line in access if line["target"].startswith(begin)]


def test_a_page_and_its_websocket_come_over_one_http_2_connection(visit):
    told, access = visit()
    assert told == seen("h2")
    page = [line for line in access if line["target"] != "/favicon.ico"]
    assert {(line["version"], line["alpn"]) for line in page} == {("2.0", "h2")}
    assert len({line["client_port"] for line in page}) == 1
    assert len(lines_of(access, "/image/")) == IMAGES
    [socket] = lines_of(access, "/socket")
    assert (socket["status"], socket["reason"]) == (101, "ok")


def test_without_http_2_it_is_http_1_on_several_connections(visit):
    told, access = visit(alpn=["http/1.1"])
    assert told == seen("http/1.1")
    assert {line["version"] for line in access} == {"1.1"}
    assert len({line["client_port"] for line in lines_of(access, "/image/")}) > 1
    [socket] = lines_of(access, "/socket")
    assert socket["status"] == 101  # that ends without a word of TLS, which is no clean end
