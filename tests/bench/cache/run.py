#!/usr/bin/python3
"""Real caches behind quoit, HAProxy and nginx: hit rate, spread and latency, as a Markdown table.

The caches are nginx with a small cache each, emptied before every measurement; an origin that takes
its time is behind them. docs/performance.md tells the method.
"""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from processes import listening

# --- what is compared ----------------------------------------------------------------------------

CACHES = """
user root;
worker_processes 1;
daemon off;
pid {folder}/caches.pid;
error_log {folder}/caches.log error;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    uwsgi_temp_path {folder}/uwsgi;
    keepalive_requests 1000000000;
    upstream origin {{
        server 127.0.0.1:{origin};
        keepalive 512;
        keepalive_requests 1000000000;
    }}
{caches}
}}
"""

# The zone of the keys is what bounds a cache: nginx makes room in it at once, by LRU, whereas
# max_size is only looked after now and then.
CACHE = """
    proxy_cache_path {folder}/{port} levels=1 keys_zone=cache{port}:{zone} use_temp_path=off
                     inactive=1h;
    server {{
        listen 127.0.0.1:{port};
        add_header X-Cache "$upstream_cache_status {port}";
        location / {{
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_cache cache{port};
            proxy_cache_key $uri;
        }}
    }}
"""

NGINX = """
user root;
worker_processes 1;
daemon off;
pid {folder}/balancer.pid;
error_log {folder}/balancer.log error;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {folder}/balancer-body;
    proxy_temp_path {folder}/balancer-proxy;
    fastcgi_temp_path {folder}/balancer-fastcgi;
    scgi_temp_path {folder}/balancer-scgi;
    uwsgi_temp_path {folder}/balancer-uwsgi;
    keepalive_requests 1000000000;
    upstream caches {{
        hash $request_uri consistent;
{servers}
        keepalive 512;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://caches;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
"""

HAPROXY = """
global
    nbthread 1
    maxconn 8192
defaults
    mode http
    timeout client 60s
    timeout server 60s
    timeout connect 5s
    http-reuse always
frontend front
    bind 127.0.0.1:{port}
    default_backend back
backend back
    balance uri
    hash-type consistent
    hash-balance-factor {factor}
{servers}
"""

QUOIT = """
workers: 1
listeners: [{{address: "127.0.0.1:{port}"}}]
routes: [{{pool: caches}}]
pools:
  caches:
    algorithm: hash
    endpoints:
{servers}
"""


def quoit(folder, port, caches, binary):
    path = folder / "quoit.yaml"
    servers = "\n".join(f'      - {{address: "127.0.0.1:{cache}"}}' for cache in caches)
    path.write_text(QUOIT.format(port=port, servers=servers))
    return [binary, "serve", "--config", path, "--log-level", "warn"]


def haproxy(factor):
    def command(folder, port, caches, _):
        path = folder / "haproxy.cfg"
        servers = "\n".join(f"    server s{i} 127.0.0.1:{cache} weight 100"
                            for i, cache in enumerate(caches))
        path.write_text(HAPROXY.format(port=port, factor=factor, servers=servers))
        return ["/usr/sbin/haproxy", "-db", "-f", path]
    return command


def nginx(folder, port, caches, _):
    path = folder / "balancer.conf"
    servers = "\n".join(f"        server 127.0.0.1:{cache};" for cache in caches)
    path.write_text(NGINX.format(folder=folder, port=port, servers=servers))
    return ["/usr/sbin/nginx", "-e", folder / "balancer.log", "-c", path]


BALANCERS = {
    "quoit": quoit,
    "HAProxy, factor 125": haproxy(125),
    "HAProxy, factor 200": haproxy(200),
    "HAProxy, no bound": haproxy(0),
    "nginx": nginx,
}


class Case:
    """A rate, and how long the origin takes: together they say how much is in flight."""

    def __init__(self, name, rate, low_ms, high_ms):
        self.name, self.rate, self.low_ms, self.high_ms = name, rate, low_ms, high_ms


CASES = [Case("little in flight", 600, 5, 15), Case("much in flight", 600, 150, 450)]

# A measurement with more late requests than this per cent is made again, so many times at most.
MAX_LATE, TRIES = 2, 3

# --- processes ----------------------------------------------------------------------------------


def free_ports(n):
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(n)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


@contextlib.contextmanager
def running_origin(binary, case):
    process = subprocess.Popen([binary, str(case.low_ms), str(case.high_ms)],
                               stdout=subprocess.PIPE, text=True)
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def running_caches(folder, origin, ports, zone):
    """All caches, empty, in one nginx."""
    path = folder / "caches.conf"
    caches = "".join(CACHE.format(folder=folder, port=port, zone=zone) for port in ports)
    path.write_text(CACHES.format(folder=folder, origin=origin, caches=caches))
    for port in ports:
        shutil.rmtree(folder / str(port), ignore_errors=True)
    command = ["/usr/sbin/nginx", "-e", folder / "caches.log", "-c", path]
    with listening(command, ports[-1], folder / "caches.out"):
        yield


# --- measuring ----------------------------------------------------------------------------------


def check_answer(port):
    """One request: a whole answer, by way of a cache."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/check", timeout=10) as response:
        if response.read() != b"x" * 1024 or not response.headers["X-Cache"]:
            sys.exit("an answer is not the origin's")


def measure(folder, name, case, seed, arguments):
    ports = free_ports(arguments.caches + 1)
    port, caches = ports[0], sorted(ports[1:])
    binaries = arguments.build / "tests/bench/cache"
    with contextlib.ExitStack() as stack:
        origin = stack.enter_context(running_origin(binaries / "cache_origin", case))
        stack.enter_context(running_caches(folder, origin, caches, arguments.zone))
        command = BALANCERS[name](folder, port, caches, arguments.build / "quoit")
        stack.enter_context(listening(command, port, folder / "balancer.out"))
        check_answer(port)
        load = [binaries / "cache_load", port, case.rate, arguments.warm_up, arguments.requests,
                arguments.objects, arguments.zipf, seed]
        result = subprocess.run(list(map(str, load)), capture_output=True, text=True)
        if result.returncode != 0:
            sys.exit(f"{name}, {case.name}: {result.stderr}")
    report = json.loads(result.stdout)
    return {
        "hit": 100 * report["hits"] / report["requests"],
        "spread": max(report["by_endpoint"].values()) * arguments.caches / report["requests"],
        "late": 100 * report["late"] / report["requests"],
        "p50_ms": report["p50_ms"],
        "p99_ms": report["p99_ms"],
    }


def measure_in_time(folder, name, case, seed, arguments):
    """The measurement with the fewest late requests of some, the first good one if there is one."""
    best = None
    for _ in range(TRIES):
        result = measure(folder, name, case, seed, arguments)
        if best is None or result["late"] < best["late"]:
            best = result
        if best["late"] <= MAX_LATE:
            break
    return best


def measure_all(folder, arguments):
    """{(case name, balancer): [one measurement a round]}; every round has its own objects."""
    results = {}
    for seed in range(1, arguments.rounds + 1):
        for case in CASES:
            for name in BALANCERS:
                result = measure_in_time(folder, name, case, seed, arguments)
                results.setdefault((case.name, name), []).append(result)
                print(f"round {seed}: {case.name}, {name}: {result['hit']:.1f} % hits, "
                      f"{result['spread']:.2f}, {result['p99_ms']:.1f} ms, "
                      f"{result['late']:.1f} % late", file=sys.stderr)
    return results


def print_table(results):
    print("| case | balancer | hit % | ± | max/average | p50 ms | p99 ms | late % |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    for (case, name), rounds in results.items():
        def median(field):
            return statistics.median(result[field] for result in rounds)
        hits = [result["hit"] for result in rounds]
        print(f"| {case} | {name} | {median('hit'):.1f} | {(max(hits) - min(hits)) / 2:.1f} "
              f"| {median('spread'):.2f} | {median('p50_ms'):.2f} | {median('p99_ms'):.1f} "
              f"| {median('late'):.1f} |")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", required=True, type=pathlib.Path,
                        help="build directory with quoit, cache_load and cache_origin")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--caches", type=int, default=8)
    parser.add_argument("--zone", default="64k", help="of a cache's keys: some 400 fit into 64k")
    parser.add_argument("--objects", type=int, default=20000)
    parser.add_argument("--zipf", type=float, default=1.0, help="exponent of their popularity")
    parser.add_argument("--warm-up", type=int, default=9000, help="requests before")
    parser.add_argument("--requests", type=int, default=9000, help="that are measured")
    arguments = parser.parse_args()
    arguments.build = arguments.build.resolve()
    return arguments


def main():
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what has been started ends, too
    print(f"{os.cpu_count()} processors", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        print_table(measure_all(pathlib.Path(folder), arguments))


if __name__ == "__main__":
    main()
