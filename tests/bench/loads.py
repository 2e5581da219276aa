"""
The loads that run.py puts on a proxy: closed loops by wrk, h2load and openssl s_time, an open loop,
and idle connections.
"""
import contextlib
import functools
import http.client
import json
import pathlib
import re
import socket
import ssl
import subprocess
import sys

from proxies import LOAD_CORE, pinned

HERE = pathlib.Path(__file__).resolve().parent

# What a browser sends, for realistic heads.
HEADERS = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
    "Accept-Language": "en-US,en;q=0.5",
    "Accept-Encoding": "gzip, deflate, br",
    "Cookie": "session=0123456789abcdef0123456789abcdef; theme=dark",
    "Upgrade-Insecure-Requests": "1",
}

# RFC 6455 section 1.3; the origin's answer has the accept value that belongs to this key.
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
# RFC 9113 section 6.
H2_DATA, H2_HEADERS, H2_RESET, H2_SETTINGS, H2_GOAWAY = 0, 1, 3, 4, 7
H2_ACK = H2_END_STREAM = 1
H2_END_HEADERS = 4
ECHO_FRAME = b"\x82\x08" + b"quoit---"


class Case:
    """One load; front is how clients come: one of proxies.FRONTS."""

    def __init__(self, word, name, target, answer_bytes, *, front="http1", load=None,
                 connections=64, body_bytes=0, close=False, arguments=()):
        self.word, self.name, self.target, self.answer_bytes = word, name, target, answer_bytes
        self.front, self.load = front, load or wrk
        self.connections, self.body_bytes, self.close = connections, body_bytes, close
        self.arguments = arguments  # of the load's program, beyond those that all have

    def headers(self):
        return {**HEADERS, "Connection": "close"} if self.close else HEADERS


@functools.cache
def client_tls(protocol):
    """A client's TLS for this protocol; it takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([protocol])
    return context


def fetch(proxy, case):
    """The status and the body of one answer over HTTP/1.1."""
    if case.front == "tls":
        connection = http.client.HTTPSConnection("127.0.0.1", proxy.port, timeout=30,
                                                 context=client_tls("http/1.1"))
    else:
        connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=30)
    with contextlib.closing(connection):
        connection.request("POST" if case.body_bytes else "GET", case.target,
                           body=b"y" * case.body_bytes or None, headers=case.headers())
        response = connection.getresponse()
        return response.status, response.read()


def check_answer(proxy, case):
    """One request: the status and the whole body are what the origin sends."""
    if case.front == "http2":
        with connect(proxy, 0) as connection:
            use_http2(connection)
        return
    status, body = fetch(proxy, case)
    if status != 200 or body != b"x" * case.answer_bytes:
        sys.exit(f"{proxy.name}: {case.name}: {status}, {len(body)} bytes")


def check_report(proxy, case, report):
    """No error of any kind, and as many bytes as that many whole answers have."""
    if any(report["errors"].values()):
        sys.exit(f"{proxy.name}, {case.name}: {report['errors']}")
    if not report["requests"] or report["bytes"] < report["requests"] * case.answer_bytes:
        sys.exit(f"{proxy.name}, {case.name}: answers are missing or short: {report}")


def wrk(proxy, case, seconds, core=LOAD_CORE):
    """One run of wrk: each connection sends its next request when the answer to the last is there."""
    command = ["wrk", "-t", 1, "-c", case.connections, "-d", f"{seconds}s", "--timeout", "10s",
               "-s", HERE / "report.lua"]
    for name, value in case.headers().items():
        command += ["-H", f"{name}: {value}"]
    scheme = "https" if case.front == "tls" else "http"
    command += [f"{scheme}://127.0.0.1:{proxy.port}{case.target}", "--", case.body_bytes]
    result = subprocess.run(pinned(core, command), capture_output=True, text=True,
                            timeout=seconds + 60, check=True)
    report = json.loads(result.stdout.splitlines()[-1])
    check_report(proxy, case, report)
    return report


def h2load(proxy, case, seconds, core=LOAD_CORE):
    """One run of h2load: each connection has as many requests under way as case.arguments say."""
    command = ["h2load", "-t", 1, "-c", case.connections, "-D", seconds, *case.arguments]
    for name, value in case.headers().items():
        command += ["-H", f"{name}: {value}"]
    command += [f"http://127.0.0.1:{proxy.port}{case.target}"]
    result = subprocess.run(pinned(core, command), capture_output=True, text=True,
                            timeout=seconds + 60, check=True)
    counts = {word: int(n) for n, word in
              re.findall(r"(\d+) (done|failed|errored|timeout|[345]xx)\b", result.stdout)}
    report = {
        "requests": counts["done"], "seconds": seconds,
        "bytes": int(re.search(r"traffic:.* \((\d+)\) data", result.stdout)[1]),
        "errors": {word: counts[word] for word in
                   ("failed", "errored", "timeout", "3xx", "4xx", "5xx")},
    }
    check_report(proxy, case, report)
    return report


def s_time(proxy, case, seconds, core=LOAD_CORE):
    """One run of openssl s_time: connections one after another, each for one request."""
    command = ["openssl", "s_time", "-connect", f"127.0.0.1:{proxy.port}", "-www", case.target,
               "-time", seconds, *case.arguments]
    result = subprocess.run(pinned(core, command), capture_output=True, text=True,
                            timeout=seconds + 60, check=True)
    # A letter for each connection: r where it has resumed a session.
    letters = re.findall(r"^[*tr3]+$", result.stdout, re.MULTILINE)
    n_resumed = sum(line.count("r") for line in letters)
    [n, elapsed, each] = re.findall(r"(\d+) connections in (\d+) real seconds, (\d+) bytes",
                                    result.stdout)[-1]
    n, wanted = int(n), int(n) if "-reuse" in case.arguments else 0
    report = {"requests": n, "seconds": int(elapsed), "bytes": n * int(each),
              "errors": {"not resumed" if wanted else "resumed": abs(wanted - n_resumed)}}
    check_report(proxy, case, report)
    return report


def open_loop(proxy, case, per_second, seconds, binary):
    """Requests at a constant rate; latencies count from the time when a request was due."""
    command = [binary, proxy.port, case.connections, per_second, seconds, case.target]
    command += [f"{name}: {value}" for name, value in case.headers().items()]
    result = subprocess.run(pinned(LOAD_CORE, command), capture_output=True, text=True,
                            timeout=seconds + 60, check=False)
    if result.returncode != 0:
        sys.exit(f"{proxy.name} at {per_second:.0f}/s: {result.stderr}")
    return json.loads(result.stdout)


# --- idle connections ---------------------------------------------------------------------------


def request_bytes(target, headers):
    lines = [f"GET {target} HTTP/1.1", "Host: bench"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def receive_until(connection, is_whole):
    data = b""
    while not is_whole(data):
        more = connection.recv(65536)
        if not more:
            sys.exit(f"a connection was closed after {data!r}")
        data += more
    return data


def connect(proxy, number):
    """From one of eight loopback addresses, so that ports do not run out."""
    connection = socket.socket()
    connection.settimeout(30)
    connection.bind((f"127.0.0.{2 + number % 8}", 0))
    connection.connect(("127.0.0.1", proxy.port))
    return connection


def connect_tls(proxy, number, protocol):
    return client_tls(protocol).wrap_socket(connect(proxy, number))


def use_keepalive(connection):
    connection.sendall(request_bytes("/small", HEADERS))
    answer = receive_until(connection, lambda data: data.endswith(b"\r\n\r\n" + b"x" * 100))
    if not answer.startswith(b"HTTP/1.1 200 "):
        sys.exit(f"not a 200: {answer!r}")


def use_tunnel(connection):
    connection.sendall(request_bytes("/tunnel", {**HEADERS, **UPGRADE}))
    answer = receive_until(connection, lambda data: b"\r\n\r\n" in data)
    if not answer.startswith(b"HTTP/1.1 101 "):
        sys.exit(f"not a 101: {answer!r}")
    connection.sendall(ECHO_FRAME)
    if receive_until(connection, lambda data: len(data) >= len(ECHO_FRAME)) != ECHO_FRAME:
        sys.exit("a tunnel changes what goes through it")


def h2_frame(kind, flags, stream, payload=b""):
    return (len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
            + payload)


def h2_field(name, value):
    """RFC 7541 section 6.2.1: a literal that goes into the table, as browsers send them."""
    return b"".join([b"\x40", bytes([len(name)]), name.encode(), bytes([len(value)]),
                     value.encode()])


def h2_request():
    fields = {":authority": "bench", ":path": "/small", **HEADERS}
    block = b"\x82\x86" + b"".join(h2_field(name.lower(), fields[name]) for name in fields)
    return (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + h2_frame(H2_SETTINGS, 0, 0)
            + h2_frame(H2_HEADERS, H2_END_STREAM | H2_END_HEADERS, 1, block))


def use_http2(connection):
    """One request by prior knowledge, and the acknowledgement of the proxy's settings."""
    connection.sendall(h2_request())
    stream = connection.makefile("rb")
    body, flags, has_settings = b"", 0, False
    while not has_settings or flags & H2_END_STREAM == 0:
        head = stream.read(9)
        payload = stream.read(int.from_bytes(head[:3], "big"))
        if len(head) < 9 or head[3] in (H2_RESET, H2_GOAWAY):
            sys.exit(f"no answer over HTTP/2: {head!r} {payload!r}")
        if head[3:5] == bytes([H2_SETTINGS, 0]):
            connection.sendall(h2_frame(H2_SETTINGS, H2_ACK, 0))
            has_settings = True
        elif head[3] in (H2_DATA, H2_HEADERS):
            flags = head[4]
            body += payload if head[3] == H2_DATA else b""
    if body != b"x" * 100:
        sys.exit(f"a wrong answer over HTTP/2: {body!r}")


@contextlib.contextmanager
def idle_connections(n, make, use):
    """Holds n connections that have been used once, each, and are idle now; make(number) is one."""
    with contextlib.ExitStack() as stack:
        for number in range(n):
            use(stack.enter_context(make(number)))
        yield
