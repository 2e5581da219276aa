#!/usr/bin/python3
"""Measures quoit beside nginx, HAProxy, nghttpx and a bare byte shuttle, and prints Markdown tables.

All get the same load in front and the same origin behind, in one run; rounds take turns, so that
whatever else the machine does meets all of them. docs/performance.md tells the method.
"""
import argparse
import contextlib
import json
import pathlib
import statistics
import sys
import tempfile
import time

import counts
import loads
import proxies
from loads import Case

CASES = [
    Case("small", "small", "/small", 100),
    Case("small512", "small, 512 connections", "/small", 100, connections=512),
    Case("64k", "64 KiB", "/64k", 65536),
    Case("1m", "1 MiB", "/1m", 1048576),
    Case("post", "16 KiB POST", "/small", 100, body_bytes=16384),
    Case("close", "a connection per request", "/small", 100, close=True),
    Case("tls-small", "TLS, small", "/small", 100, front="tls"),
    Case("tls-1m", "TLS, 1 MiB", "/1m", 1048576, front="tls"),
    Case("tls-new", "TLS 1.3, new connections", "/small", 100, front="tls", load=loads.s_time,
         close=True, arguments=("-tls1_3", "-new")),
    Case("tls-resumed", "TLS 1.3, resumed connections", "/small", 100, front="tls",
         load=loads.s_time, close=True, arguments=("-tls1_3", "-reuse")),
    Case("tls12-new", "TLS 1.2, new connections", "/small", 100, front="tls", load=loads.s_time,
         close=True, arguments=("-tls1_2", "-new")),
    Case("tls12-resumed", "TLS 1.2, resumed connections", "/small", 100, front="tls",
         load=loads.s_time, close=True, arguments=("-tls1_2", "-reuse")),
    Case("http2-small", "HTTP/2, small", "/small", 100, front="http2", load=loads.h2load,
         connections=16, arguments=("-m", 32)),
]
# What else there is to measure, by front.
OTHERS = {"http1": ["memory", "latency", "workers"], "tls": ["tls-memory"],
          "http2": ["http2-memory", "h2c-origin"]}

# At most this many times the CPU per request of another proxy.
GOALS = [
    ("small", "floor", 1.15),
    ("small", "nginx", 0.85),
    ("small", "haproxy", 0.70),
    ("small512", "nginx", 0.85),
    ("64k", "nginx", 0.50),
    ("64k", "haproxy", 0.50),
    ("64k", "nghttpx", 0.70),
    ("1m", "nginx", 0.60),
    ("1m", "nghttpx", 0.80),
    ("post", "nginx", 0.80),
    ("close", "nginx", 0.90),
    ("tls-small", "nginx", 0.85),
    ("tls-1m", "nginx", 0.85),
    ("tls-new", "nginx", 0.95),
    ("tls-resumed", "nginx", 0.95),
    ("tls12-new", "nginx", 0.95),
    ("tls12-resumed", "nginx", 0.95),
    ("http2-small", "nginx", 0.60),
    ("http2-small", "nghttpx", 0.95),
]
IDLE_CONNECTIONS = 10000
# On a busy machine each of more would not get one whole answer in a second.
QUICK_CONNECTIONS, QUICK_IDLE_CONNECTIONS = 8, 500
LATENCY_LOAD = 0.7


class Idle:
    """Connections that were used once each; at most goal KiB of resident memory each."""

    def __init__(self, word, name, front, protocol, use, goal):
        self.word, self.name, self.front, self.goal = word, name, front, goal
        self.protocol, self.use = protocol, use

    def held(self, proxy, n):
        def make(number):
            if self.front == "tls":
                return loads.connect_tls(proxy, number, self.protocol)
            return loads.connect(proxy, number)
        return loads.idle_connections(n, make, self.use)


IDLES = [
    Idle("memory", "keep-alive", "http1", "http/1.1", loads.use_keepalive, 1.0),
    Idle("memory", "tunnels", "http1", "http/1.1", loads.use_tunnel, 8.0),
    Idle("tls-memory", "TLS", "tls", "http/1.1", loads.use_keepalive, 8.0),
    Idle("http2-memory", "HTTP/2 over TLS", "tls", "h2", loads.use_http2, 8.0),
    Idle("http2-memory", "HTTP/2", "http2", "h2", loads.use_http2, 8.0),
]


class Bench:
    """What all measurements need."""

    def __init__(self, arguments, folder, origin, descriptors):
        self.arguments, self.folder, self.origin = arguments, folder, origin
        self.descriptors = descriptors
        self.tools = {"quoit": arguments.quoit.resolve(),
                      "certificate": proxies.make_certificate(folder)}
        if arguments.before:
            self.tools["before"] = arguments.before.resolve()
        for name in ("bench_floor", "bench_rate"):
            self.tools[name] = arguments.tools.resolve() / name
        self.n_started = 0

    def new_folder(self, name):
        self.n_started += 1
        return self.folder / f"{self.n_started}-{name}"

    def running(self, name, front="http1", core=proxies.PROXY_CORE, origin=None):
        return proxies.running_proxy(name, front, self.new_folder(name), origin or self.origin,
                                     self.tools, core=core)


def in_turn(names, round_number):
    """Another one is first in each round."""
    turn = round_number % len(names)
    return names[turn:] + names[:turn]


def say(text):
    print(text, file=sys.stderr, flush=True)


# --- the closed loop: CPU per request -----------------------------------------------------------


def measure(proxy, case, seconds, core=proxies.LOAD_CORE):
    before = proxy.cpu_seconds()
    report = case.load(proxy, case, seconds, core)
    spent = proxy.cpu_seconds() - before
    latencies = {name: report[name] for name in ("p50_us", "p99_us") if name in report}
    return {
        "requests_per_s": report["requests"] / report["seconds"],
        "cpu_us": spent / report["requests"] * 1e6,
        **latencies,
    }


def can_take(name, front):
    """The shuttle has TCP only."""
    return front == "http1" or name not in ("floor", "splice")


def takes_part(name, case):
    """
    The shuttle has no connection to the origin of its own, to keep when the client's goes; nghttpx
    keeps none either then, and answers many such requests with 502.
    """
    return can_take(name, case.front) and not (
        case.close and name in ("floor", "splice", "nghttpx"))


def measure_load(running, cases, arguments):
    """{(case word, proxy name): [one measurement a round]}"""
    results = {}
    for round_number in range(arguments.rounds):
        for case in cases:
            for proxy in in_turn([p for p in running if takes_part(p.name, case)], round_number):
                loads.check_answer(proxy, case)
                if arguments.warm_up:
                    case.load(proxy, case, arguments.warm_up)
                result = measure(proxy, case, arguments.seconds)
                results.setdefault((case.word, proxy.name), []).append(result)
                say(f"round {round_number + 1}: {case.name}, {proxy.name}: "
                    f"{result['requests_per_s']:.0f}/s, {result['cpu_us']:.1f} us")
    return results


def median(rounds, field):
    return statistics.median(result[field] for result in rounds)


def spread(rounds, field):
    """Half the distance from the lowest to the highest round, in per cent of the median."""
    values = [result[field] for result in rounds]
    return (max(values) - min(values)) / 2 / median(rounds, field) * 100


def ratio(results, word, name, other):
    """The median over the rounds of name's CPU per request against other's in the same round."""
    both = zip(results[word, name], results[word, other])
    return statistics.median(a["cpu_us"] / b["cpu_us"] for a, b in both)


def print_load(results, cases, names):
    print("\n| case | proxy | requests/s | CPU µs/request | ± % | quoit's CPU against it |")
    print("|---|---|---:|---:|---:|---:|")
    for case in cases:
        for name in names:
            rounds = results.get((case.word, name))
            if not rounds:
                continue
            against = "-"
            if name != "quoit" and (case.word, "quoit") in results:
                against = f"{ratio(results, case.word, 'quoit', name):.2f}"
            print(f"| {case.name} | {name} | {median(rounds, 'requests_per_s'):.0f} "
                  f"| {median(rounds, 'cpu_us'):.1f} | {spread(rounds, 'cpu_us'):.0f} "
                  f"| {against} |")


def print_goals(results, cases):
    print("\n| case | against | goal | measured | |\n|---|---|---:|---:|---|")
    for word, other, goal in GOALS:
        if (word, other) not in results or (word, "quoit") not in results:
            continue
        name = next(case.name for case in cases if case.word == word)
        found = ratio(results, word, "quoit", other)
        print(f"| {name} | {other} | {goal:.2f} | {found:.2f} | {verdict(found, goal)} |")


def verdict(found, goal):
    return "met" if round(found, 2) <= goal else "missed"


# --- one worker against two ---------------------------------------------------------------------


def measure_workers(bench, case):
    """CPU per request of one worker and of two. Nothing is tied to a core: the two need both."""
    results = {}
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(bench.running(name, core=None))
                   for name in proxies.WORKERS]
        for round_number in range(2 * bench.arguments.rounds):
            for proxy in in_turn(running, round_number):
                if bench.arguments.warm_up:
                    loads.wrk(proxy, case, bench.arguments.warm_up, core=None)
                result = measure(proxy, case, bench.arguments.seconds, core=None)
                results.setdefault(("workers", proxy.name), []).append(result)
    return results


def print_workers(results):
    one, two = results["workers", "quoit-1"], results["workers", "quoit-2"]
    found = ratio(results, "workers", "quoit-2", "quoit-1")
    print(f"\nOne worker: {median(one, 'cpu_us'):.1f} µs of CPU a request "
          f"(± {spread(one, 'cpu_us'):.0f} %), two: {median(two, 'cpu_us'):.1f} µs "
          f"(± {spread(two, 'cpu_us'):.0f} %), ratio {found:.2f}; goal 1.00: {verdict(found, 1)}.")


# --- an origin that speaks HTTP/2 ----------------------------------------------------------------

ORIGIN_CASES = [
    Case("h2c-origin", "clients of HTTP/1.1", "/small", 100),
    Case("h2c-origin", "clients of HTTP/2", "/small", 100, front="http2", load=loads.h2load,
         connections=16, arguments=("-m", 32)),
]


def measure_origins(bench):
    """{(case name, proxy name): [one measurement a round]}: the same nginx behind, over HTTP/1.1 and
    over HTTP/2."""
    results = {}
    with contextlib.ExitStack() as stack:
        ports = stack.enter_context(proxies.running_both_origin(bench.new_folder("origin")))
        for case in ORIGIN_CASES:
            running = [stack.enter_context(bench.running(name, case.front, origin=port))
                       for both in proxies.H2C.items() for name, port in zip(both, reversed(ports))]
            for round_number in range(bench.arguments.rounds):
                for proxy in in_turn(running, round_number):
                    loads.check_answer(proxy, case)
                    if bench.arguments.warm_up:
                        case.load(proxy, case, bench.arguments.warm_up)
                    result = measure(proxy, case, bench.arguments.seconds)
                    results.setdefault((case.name, proxy.name), []).append(result)
    return results


def print_origins(results):
    print("\n| an nginx behind, over HTTP/1.1 and HTTP/2 | proxy | requests/s | CPU µs/request | ± % "
          "| HTTP/2 against HTTP/1.1 |")
    print("|---|---|---:|---:|---:|---:|")
    for (case, name), rounds in results.items():
        against = f"{ratio(results, case, name, proxies.H2C[name]):.2f}" \
            if name in proxies.H2C else ""
        print(f"| {case} | {name} | {median(rounds, 'requests_per_s'):.0f} "
              f"| {median(rounds, 'cpu_us'):.1f} | {spread(rounds, 'cpu_us'):.0f} | {against} |")


# --- latency below saturation -------------------------------------------------------------------


def measure_latency(bench, running, case):
    """At 70 % of what each reaches in a closed loop, and all at the rate that nginx gets so."""
    running = [proxy for proxy in running if proxy.name != "splice"]
    seconds = max(bench.arguments.seconds, 2)
    own = {proxy.name: LATENCY_LOAD * loads.wrk(proxy, case, seconds)["requests"] / seconds
           for proxy in running}
    rates = {"own": own}
    if "nginx" in own:
        rates["nginx's"] = {name: own["nginx"] for name in own}
    results = {}
    for round_number in range(bench.arguments.rounds):
        for load, per_second in rates.items():
            for proxy in in_turn(running, round_number):
                result = loads.open_loop(proxy, case, per_second[proxy.name], seconds,
                                         bench.tools["bench_rate"])
                result["per_second"] = per_second[proxy.name]
                results.setdefault((f"latency, {load}", proxy.name), []).append(result)
    return results


def print_latency(results):
    print("\n| 70 % of whose saturation | proxy | requests/s | p50 µs | p99 µs |")
    print("|---|---|---:|---:|---:|")
    for (load, name), rounds in results.items():
        print(f"| {load.split(', ')[1]} | {name} | {rounds[0]['per_second']:.0f} "
              f"| {median(rounds, 'p50_us'):.0f} | {median(rounds, 'p99_us'):.0f} |")


# --- memory of idle connections -----------------------------------------------------------------


def measure_idle(idle, proxy, n):
    """Resident KiB for each of n. What is allocated with the first request is not theirs."""
    with idle.held(proxy, 64):
        pass
    before = proxy.resident_bytes()
    with idle.held(proxy, n):
        time.sleep(1)  # what a proxy gives back a moment later does not count
        return (proxy.resident_bytes() - before) / n / 1024


def measure_memory(bench, idles):
    """{(what is idle, proxy name): [resident KiB per idle connection]}, a process for each."""
    # A tunnel takes two descriptors of the proxy.
    n = min(bench.arguments.idle, (bench.descriptors - 200) // 2)
    results = {}
    for idle in idles:
        for name in bench.arguments.proxies:
            if name == "splice" or not can_take(name, idle.front):
                continue
            with bench.running(name, idle.front) as proxy:
                kib = measure_idle(idle, proxy, n)
            results[idle.name, name] = [{"kib": kib, "connections": n}]
            say(f"{idle.name}, {name}: {kib:.2f} KiB")
    return results


def print_memory(results, idles):
    print("\n| idle connections | number | proxy | resident KiB each | goal for quoit |")
    print("|---|---:|---|---:|---:|")
    goals = {idle.name: idle.goal for idle in idles}
    for (kind, name), [result] in results.items():
        goal = f"{goals[kind]:.0f}: {verdict(result['kib'], goals[kind])}"
        print(f"| {kind} | {result['connections']} | {name} | {result['kib']:.2f} "
              f"| {goal if name == 'quoit' else ''} |")


# --- counting -----------------------------------------------------------------------------------


def print_system_calls(running, cases):
    print("\nSystem calls per request:\n")
    for case in cases:
        for proxy in running:
            if not takes_part(proxy.name, case):
                continue
            calls = counts.system_calls(proxy, case)
            listed = ", ".join(f"{name} {n:.2f}" for name, n in calls.items() if n >= 0.005)
            print(f"- {case.name}, {proxy.name}: {sum(calls.values()):.2f} ({listed})")


def print_instructions(bench, names, cases):
    print("\nInstructions in user space per request:\n")
    for case in cases:
        for name in [name for name in names if takes_part(name, case)]:
            folder = pathlib.Path(tempfile.mkdtemp(dir=bench.folder))
            n = counts.instructions(name, case, folder, bench.origin, bench.tools)
            print(f"- {case.name}, {name}: {n:.0f}", flush=True)


# --- the program --------------------------------------------------------------------------------


def parse_arguments():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__.split("\n")[0])
    parser.add_argument("--quoit", required=True, type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--before", type=pathlib.Path,
                        help="another build of quoit, measured beside this one")
    parser.add_argument("--tools", required=True, type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="of load per measurement")
    parser.add_argument("--warm-up", type=int, default=1, help="seconds before each; 0: none")
    parser.add_argument("--proxies", default="quoit,nginx,haproxy,nghttpx,floor",
                        help="a list with commas; there are also splice, nginx-tuned and haproxy-tuned")
    parser.add_argument("front", nargs="?", choices=proxies.FRONTS,
                        help="only what comes so; default: all")
    parser.add_argument("--cases", help="a list with commas; default: all")
    parser.add_argument("--strace", action="store_true", help="count system calls as well")
    parser.add_argument("--instructions", action="store_true",
                        help="count instructions as well, with valgrind")
    parser.add_argument("--json", type=pathlib.Path, help="write every round to this file")
    parser.add_argument("--quick", action="store_true", help="one second each: does it run at all?")
    arguments = parser.parse_args()
    words = words_of([arguments.front] if arguments.front else proxies.FRONTS)
    arguments.cases = arguments.cases.split(",") if arguments.cases else words
    arguments.proxies = arguments.proxies.split(",") + ["before"] * bool(arguments.before)
    for word in set(arguments.cases) - set(words):
        parser.error(f"no case is called {word}; there are {', '.join(words)}")
    arguments.idle = IDLE_CONNECTIONS
    if arguments.quick:
        arguments.rounds, arguments.seconds, arguments.warm_up = 1, 1, 0
        arguments.idle = QUICK_IDLE_CONNECTIONS
        for case in CASES:
            case.connections = min(case.connections, QUICK_CONNECTIONS)
    return arguments


def words_of(fronts):
    return [word for front in fronts
            for word in [case.word for case in CASES if case.front == front] + OTHERS[front]]


def run_load(bench, front, cases):
    """The closed loops over one front and, with the same processes, latencies and system calls."""
    names = [name for name in bench.arguments.proxies if can_take(name, front)]
    with_latency = front == "http1" and "latency" in bench.arguments.cases
    results = {}
    if not cases and not with_latency:
        return results
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(bench.running(name, front)) for name in names]
        if cases:
            results = measure_load(running, cases, bench.arguments)
            print_load(results, cases, names)
            print_goals(results, cases)
        if with_latency:
            latencies = measure_latency(bench, running, CASES[0])
            print_latency(latencies)
            results |= latencies
        if bench.arguments.strace:
            print_system_calls(running, cases)
    return results


def run_all(bench):
    arguments, results = bench.arguments, {}
    cases = [case for case in CASES if case.word in arguments.cases]
    idles = [idle for idle in IDLES if idle.word in arguments.cases]
    if idles:
        results |= measure_memory(bench, idles)
        print_memory(results, idles)
    for front in proxies.FRONTS:
        results |= run_load(bench, front, [case for case in cases if case.front == front])
    if "h2c-origin" in arguments.cases:
        origins = measure_origins(bench)
        print_origins(origins)
        results |= origins
    if "workers" in arguments.cases:
        workers = measure_workers(bench, CASES[0])
        print_workers(workers)
        results |= workers
    if arguments.instructions:
        print_instructions(bench, arguments.proxies, cases)
    return results


def main():
    arguments = parse_arguments()
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        descriptors = proxies.raise_descriptor_limit()
        origin = stack.enter_context(proxies.running_origin(arguments.tools / "bench_origin"))
        bench = Bench(arguments, folder, origin, descriptors)
        results = run_all(bench)
    if arguments.json:
        rows = [{"case": case, "proxy": proxy, "rounds": rounds}
                for (case, proxy), rounds in results.items()]
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
