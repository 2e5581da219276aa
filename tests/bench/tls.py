#!/usr/bin/python3
"""Measures TLS in quoit beside nginx and HAProxy, and prints a Markdown table.

The certificate is ECDSA P-256; the origin and the rounds are those of run.py. New connections are
those of `openssl s_time`, which either begins a session with each or resumes one (TLS 1.2).
"""
import argparse
import contextlib
import json
import pathlib
import re
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile

import proxies
from processes import listening

TLS_NGINX = ("listen 127.0.0.1:{port} ssl; ssl_certificate {pem}; ssl_certificate_key {pem}; "
             "ssl_session_tickets on; ssl_protocols TLSv1.2 TLSv1.3;")
IDLE_CONNECTIONS = 2000


def make_certificate(folder):
    """A file with the key and the certificate; HAProxy wants both in one."""
    key, cert, pem = folder / "key", folder / "cert", folder / "both.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert, "-days",
                    "30", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
                   check=True, capture_output=True)
    pem.write_bytes(cert.read_bytes() + key.read_bytes())
    return pem


def command_of(name, folder, port, origin, quoit, pem):
    if name == "quoit":
        command = proxies.quoit_command(quoit, port, origin, 1)
        certificates = "listeners.0.tls.certificates.0"
        return command + ["--set", f"{certificates}.cert={pem}"]
    path = folder / "configuration"
    if name == "nginx":
        text = proxies.NGINX.replace(
            "listen 127.0.0.1:{port} deferred;", TLS_NGINX.replace("{pem}", str(pem)))
        path = proxies.configured(text, path, port=port, origin=origin,
                                  tuning=proxies.NGINX_TUNING)
        return ["/usr/sbin/nginx", "-e", folder / "nginx.log", "-c", path]
    text = proxies.HAPROXY.replace("bind 127.0.0.1:{port} defer-accept",
                                   f"bind 127.0.0.1:{{port}} ssl crt {pem}")
    path = proxies.configured(text, path, port=port, origin=origin, tuning="")
    return ["/usr/sbin/haproxy", "-db", "-f", path]


@contextlib.contextmanager
def running(name, folder, origin, quoit, pem):
    port = proxies.free_port()
    folder.mkdir()
    command = command_of(name, folder, port, origin, quoit, pem)
    command = proxies.pinned(proxies.PROXY_CORE, command)
    with listening(command, port, folder / "output") as process:
        yield proxies.Proxy(name, port, process)


def wrk(target, connections, close=False):
    def load(proxy, seconds):
        command = ["wrk", "-t", 1, "-c", connections, "-d", f"{seconds}s", "--timeout", "10s",
                   *(["-H", "Connection: close"] if close else []), "-s",
                   pathlib.Path(__file__).with_name("report.lua"),
                   f"https://127.0.0.1:{proxy.port}{target}", "--", 0]
        output = subprocess.run(proxies.pinned(proxies.LOAD_CORE, command), capture_output=True,
                                text=True, check=True).stdout
        report = json.loads(output.splitlines()[-1])
        if not close and any(report["errors"].values()):
            sys.exit(f"{proxy.name}: {report['errors']}")
        return report["requests"]
    return load


def s_time(how, *more):
    def load(proxy, seconds):
        command = ["openssl", "s_time", "-connect", f"127.0.0.1:{proxy.port}", "-www", "/small",
                   how, "-time", seconds, *more]
        output = subprocess.run(proxies.pinned(proxies.LOAD_CORE, command), capture_output=True,
                                text=True, check=True).stdout
        return int(re.findall(r"(\d+) connections in \d+ real", output)[-1])
    return load


CASES = [
    ("small, keep-alive, 64 connections", wrk("/small", 64)),
    ("1 MiB, 64 connections", wrk("/1m", 64)),
    ("a new connection each, full handshake, TLS 1.3", s_time("-new")),
    ("a new connection each, full handshake, TLS 1.2", s_time("-new", "-tls1_2")),
    ("a new connection each, resumed, TLS 1.2", s_time("-reuse", "-tls1_2")),
]


def idle_bytes(proxy):
    """Resident memory for each idle connection that has had one request."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    with contextlib.ExitStack() as stack:

        def connect(n):
            for _ in range(n):
                sock = made.wrap_socket(socket.create_connection(("127.0.0.1", proxy.port)))
                stack.callback(sock.close)
                sock.sendall(b"GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n")
                sock.recv(4096)

        connect(50)
        before = proxy.resident_bytes()
        connect(IDLE_CONNECTIONS)
        return (proxy.resident_bytes() - before) / IDLE_CONNECTIONS


def print_tables(names, results, memory):
    print(f"| CPU microseconds | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    for case, _ in CASES:
        row = [f"{statistics.median(results[case, name]):.1f}" for name in names]
        print(f"| {case} | {' | '.join(row)} |")
    row = [f"{memory[name] / 1024:.1f}" for name in names]
    print(f"| an idle connection, KiB resident | {' | '.join(row)} |")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quoit", type=pathlib.Path, required=True)
    parser.add_argument("--tools", type=pathlib.Path, required=True, help="where bench_origin is")
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    proxies.raise_descriptor_limit()
    names = ["quoit", "nginx", "haproxy"]
    results, memory = {}, {}
    with tempfile.TemporaryDirectory() as temporary, contextlib.ExitStack() as stack:
        folder = pathlib.Path(temporary)
        pem = make_certificate(folder)
        origin = stack.enter_context(proxies.running_origin(arguments.tools / "bench_origin"))
        started = [stack.enter_context(running(
            name, folder / name, origin, arguments.quoit.resolve(), pem)) for name in names]
        for proxy in started:
            memory[proxy.name] = idle_bytes(proxy)
        for _ in range(arguments.rounds):
            for case, load in CASES:
                for proxy in started:
                    before = proxy.cpu_seconds()
                    n = load(proxy, arguments.seconds)
                    spent = (proxy.cpu_seconds() - before) / n * 1e6
                    results.setdefault((case, proxy.name), []).append(spent)
                    print(f"{case}, {proxy.name}: {spent:.1f}", file=sys.stderr)
    print_tables(names, results, memory)


if __name__ == "__main__":
    main()
