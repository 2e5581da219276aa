"""The loads that run.py puts on a proxy: wrk's closed loop, an open loop, and idle connections."""
import contextlib
import http.client
import json
import pathlib
import socket
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
ECHO_FRAME = b"\x82\x08" + b"quoit---"


class Case:
    """One load of wrk."""

    def __init__(self, word, name, target, answer_bytes, connections=64, body_bytes=0, close=False):
        self.word, self.name, self.target, self.answer_bytes = word, name, target, answer_bytes
        self.connections, self.body_bytes, self.close = connections, body_bytes, close

    def headers(self):
        return {**HEADERS, "Connection": "close"} if self.close else HEADERS


def check_answer(proxy, case):
    """One request: the status and the whole body are what the origin sends."""
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=30)
    connection.request("POST" if case.body_bytes else "GET", case.target,
                       body=b"y" * case.body_bytes or None, headers=case.headers())
    response = connection.getresponse()
    body = response.read()
    connection.close()
    if response.status != 200 or body != b"x" * case.answer_bytes:
        sys.exit(f"{proxy.name}: {case.name}: {response.status}, {len(body)} bytes")


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
    command += [f"http://127.0.0.1:{proxy.port}{case.target}", "--", case.body_bytes]
    result = subprocess.run(pinned(core, command), capture_output=True, text=True,
                            timeout=seconds + 60, check=True)
    report = json.loads(result.stdout.splitlines()[-1])
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


@contextlib.contextmanager
def idle_connections(proxy, use, n):
    """Holds n connections that have been used once, each, and are idle now."""
    with contextlib.ExitStack() as stack:
        for number in range(n):
            use(stack.enter_context(connect(proxy, number)))
        yield
