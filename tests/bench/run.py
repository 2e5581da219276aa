#!/usr/bin/python3
"""Measures quoit beside nginx and HAProxy, all in one run, and prints a Markdown table.

Every proxy has one worker, the same origin behind it and the same load in front of it; rounds take
turns, so that whatever else the machine does meets all of them. docs/performance.md tells the method.
"""
import argparse
import contextlib
import http.client
import json
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
CONNECTIONS = 64
TICKS = os.sysconf("SC_CLK_TCK")

# What a browser sends, for realistic heads.
HEADERS = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
    "Accept-Language": "en-US,en;q=0.5",
    "Accept-Encoding": "gzip, deflate, br",
    "Cookie": "session=0123456789abcdef0123456789abcdef; theme=dark",
    "Upgrade-Insecure-Requests": "1",
}


class Case:
    def __init__(self, name, target, body_bytes, close=False):
        self.name, self.target, self.body_bytes, self.close = name, target, body_bytes, close

    def headers(self):
        return {**HEADERS, "Connection": "close"} if self.close else HEADERS


CASES = [
    Case("small, keep-alive", "/small", 100),
    Case("64 KiB", "/64k", 65536),
    Case("1 MiB", "/1m", 1048576),
    Case("new connection per request", "/small", 100, close=True),
]

NGINX = """
user root;
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    uwsgi_temp_path {folder}/uwsgi;
    keepalive_requests 1000000000;
    upstream origin {{
        server 127.0.0.1:{origin};
        keepalive 64;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_max_temp_file_size 0;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $http_host;
        }}
    }}
}}
"""

HAPROXY = """
global
    nbthread 1
    maxconn 4096
defaults
    mode http
    timeout client 30s
    timeout server 30s
    timeout connect 5s
    http-reuse always
    option forwardfor
frontend front
    bind 127.0.0.1:{port}
    http-request set-header X-Forwarded-Proto http
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    default_backend back
backend back
    server origin 127.0.0.1:{origin}
"""


# --- processes ----------------------------------------------------------------------------------


def pinned(core, command):
    return ["taskset", "-c", str(core), *map(str, command)] if os.cpu_count() > 1 else command


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running(command, log):
    with open(log, "wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def running_origin(binary):
    process = subprocess.Popen(pinned(1, [binary, 0]), stdout=subprocess.PIPE, text=True)
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


class Proxy:
    def __init__(self, name, port, process, log):
        self.name, self.port, self.process, self.log = name, port, process, log

    def pids(self):
        """The process and its children: nginx has a worker."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [self.process.pid, *map(int, children.read_text().split())]

    def cpu_seconds(self):
        """User and system time of all threads of all its processes so far."""
        total = 0
        for pid in self.pids():
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICKS


def proxy_command(name, folder, port, origin, quoit):
    if name in ("floor", "splice"):
        return [quoit.parent / "tests/bench/bench_floor", port, origin, name]
    if name == "quoit":
        return [quoit, "serve", "--listen", f"127.0.0.1:{port}", "--backend",
                f"127.0.0.1:{origin}", "--workers", "1"]
    template, suffix = {"nginx": (NGINX, "conf"), "haproxy": (HAPROXY, "cfg")}[name]
    path = folder / f"{name}.{suffix}"
    path.write_text(template.format(folder=folder, port=port, origin=origin))
    if name == "nginx":
        return ["/usr/sbin/nginx", "-e", folder / "nginx.log", "-c", path]
    return ["/usr/sbin/haproxy", "-db", "-f", path]


@contextlib.contextmanager
def running_proxy(name, folder, origin, quoit):
    port = free_port()
    command = proxy_command(name, folder, port, origin, quoit)
    log = folder / f"{name}.out"
    with running(pinned(0, command), log) as process:
        proxy = Proxy(name, port, process, log)
        deadline = time.monotonic() + 10
        while not answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{name} did not start:\n{log.read_text()}")
            time.sleep(0.05)
        yield proxy


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


# --- measuring ----------------------------------------------------------------------------------


def check_answer(proxy, case):
    """One request: the status and the whole body are what the origin sends."""
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
    connection.request("GET", case.target, headers=case.headers())
    response = connection.getresponse()
    body = response.read()
    connection.close()
    if response.status != 200 or body != b"x" * case.body_bytes:
        sys.exit(f"{proxy.name}: {case.target}: {response.status}, {len(body)} bytes")


def load(proxy, case, seconds):
    """One run of wrk on the other core."""
    command = ["wrk", "-t", "1", "-c", CONNECTIONS, "-d", f"{seconds}s", "-s",
               HERE / "report.lua"]
    for name, value in case.headers().items():
        command += ["-H", f"{name}: {value}"]
    command += [f"http://127.0.0.1:{proxy.port}{case.target}"]
    result = subprocess.run(pinned(1, list(map(str, command))), capture_output=True, text=True,
                            timeout=seconds + 30, check=True)
    return json.loads(result.stdout.splitlines()[-1])


def check_load(proxy, case, report):
    """No error of any kind, and as many bytes as that many whole answers have."""
    if any(report["errors"].values()):
        sys.exit(f"{proxy.name}, {case.name}: {report['errors']}")
    if not report["requests"] or report["bytes"] < report["requests"] * case.body_bytes:
        sys.exit(f"{proxy.name}, {case.name}: answers are missing or short: {report}")


def measure(proxy, case, seconds):
    before = proxy.cpu_seconds()
    report = load(proxy, case, seconds)
    spent = proxy.cpu_seconds() - before
    check_load(proxy, case, report)
    return {
        "requests_per_s": report["requests"] / report["seconds"],
        "cpu_us": spent / report["requests"] * 1e6,
        "p50_us": report["p50_us"],
        "p99_us": report["p99_us"],
    }


def measure_all(proxies, cases, arguments):
    """{(case name, proxy name): [one measurement a round]}"""
    results = {}
    for round_number in range(arguments.rounds):
        for case in cases:
            turn = round_number % len(proxies)
            for proxy in proxies[turn:] + proxies[:turn]:
                check_answer(proxy, case)
                if arguments.warm_up:
                    load(proxy, case, arguments.warm_up)
                result = measure(proxy, case, arguments.seconds)
                results.setdefault((case.name, proxy.name), []).append(result)
                print(f"round {round_number + 1}: {case.name}, {proxy.name}: "
                      f"{result['requests_per_s']:.0f}/s, {result['cpu_us']:.1f} us",
                      file=sys.stderr)
    return results


def count_calls(proxy, case):
    """System calls per request, by strace over one second of load: {name: calls}."""
    with tempfile.NamedTemporaryFile("r") as output:
        command = ["strace", "-c", "-f", "-o", output.name]
        for pid in proxy.pids():
            command += ["-p", str(pid)]
        tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        for _ in proxy.pids():
            tracer.stderr.readline()  # "Process N attached"
        report = load(proxy, case, 1)
        tracer.send_signal(2)
        tracer.communicate(timeout=20)
        rows = re.findall(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)$", output.read(),
                          re.MULTILINE)
    return {name: int(calls) / report["requests"] for calls, name in rows if name != "total"}


# --- printing -----------------------------------------------------------------------------------


def median(rounds, field):
    return statistics.median(result[field] for result in rounds)


def spread(rounds, field):
    """Half the distance from the lowest to the highest round, in per cent of the median."""
    values = [result[field] for result in rounds]
    return (max(values) - min(values)) / 2 / median(rounds, field) * 100


def print_table(results, cases, proxies):
    print("| case | proxy | requests/s | CPU µs/request | ± % | CPU against nginx | p50 ms | p99 ms |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    for case in cases:
        nginx = results.get((case.name, "nginx"))
        for proxy in proxies:
            rounds = results[case.name, proxy.name]
            cpu = median(rounds, "cpu_us")
            ratio = f"{cpu / median(nginx, 'cpu_us'):.2f}" if nginx else "-"
            print(f"| {case.name} | {proxy.name} | {median(rounds, 'requests_per_s'):.0f} "
                  f"| {cpu:.1f} | {spread(rounds, 'cpu_us'):.0f} | {ratio} "
                  f"| {median(rounds, 'p50_us') / 1000:.2f} "
                  f"| {median(rounds, 'p99_us') / 1000:.2f} |")


def print_calls(proxies, cases):
    print("\nSystem calls per request:\n")
    for case in cases:
        for proxy in proxies:
            calls = count_calls(proxy, case)
            listed = ", ".join(f"{name} {n:.2f}" for name, n in calls.items() if n >= 0.005)
            print(f"- {case.name}, {proxy.name}: {sum(calls.values()):.2f} ({listed})")


def parse_arguments():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__.split("\n")[0])
    parser.add_argument("--quoit", required=True, type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--origin", required=True, type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="of load per measurement")
    parser.add_argument("--warm-up", type=int, default=1, help="seconds before each; 0: none")
    parser.add_argument("--proxies", default="quoit,nginx,haproxy", help="a list with commas")
    parser.add_argument("--cases", default="", help="only cases whose name contains this")
    parser.add_argument("--strace", action="store_true", help="count system calls as well")
    parser.add_argument("--json", type=pathlib.Path, help="write every round to this file")
    parser.add_argument("--quick", action="store_true", help="one second each: does it run at all?")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.seconds, arguments.warm_up = 1, 1, 0
    return arguments


def main():
    arguments = parse_arguments()
    cases = [case for case in CASES if arguments.cases in case.name]
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        origin = stack.enter_context(running_origin(arguments.origin.resolve()))
        proxies = [
            stack.enter_context(running_proxy(name, folder, origin, arguments.quoit.resolve()))
            for name in arguments.proxies.split(",")
        ]
        results = measure_all(proxies, cases, arguments)
        print_table(results, cases, proxies)
        if arguments.strace:
            print_calls(proxies, cases)
    if arguments.json:
        rows = [{"case": case, "proxy": proxy, "rounds": rounds}
                for (case, proxy), rounds in results.items()]
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
