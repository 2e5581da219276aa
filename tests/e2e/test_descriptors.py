"""Out of descriptors: no crash, no spin, an honest answer, and everything is well again afterwards."""
import contextlib
import os
import pathlib
import re
import resource
import shlex
import subprocess

import pytest

from http_client import RawClient
from ports import free_port
from quoit_process import BINARY
from scripted import reply
from waiting import wait_until


def request(line, *fields):
    return b"\r\n".join([line, b"Host: a.example", *fields, b"", b""])


def answer_each(connection):
    while True:
        connection.read_head()
        connection.send(reply())


def open_descriptors(balancer):
    """Their numbers, once what the last look at the metrics took is closed."""
    seen = [None]

    def settled():
        last, seen[0] = seen[0], {int(name) for name in os.listdir(f"/proc/{balancer.pid}/fd")}
        return last == seen[0] and last

    return wait_until(settled, 10, interval=0.1)


@contextlib.contextmanager
def no_more_descriptors(balancer):
    """Inside, the process can open none."""
    before = resource.prlimit(balancer.pid, resource.RLIMIT_NOFILE)
    numbers = open_descriptors(balancer)
    first_free = min(set(range(len(numbers) + 1)) - numbers)
    resource.prlimit(balancer.pid, resource.RLIMIT_NOFILE, (first_free, before[1]))
    try:
        yield
    finally:
        resource.prlimit(balancer.pid, resource.RLIMIT_NOFILE, before)


def cpu_seconds(balancer):
    fields = pathlib.Path(f"/proc/{balancer.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_a_request_without_a_descriptor_for_its_endpoint_is_503(scripted, method):
    port, origin = scripted(answer_each)
    with RawClient(port) as client:
        client.send(b"\r\n")
        wait_until(lambda: origin.balancer.metrics().sum("quoit_client_received_bytes_total") == 2)
        with no_more_descriptors(origin.balancer):
            client.send(request(method + b" / HTTP/1.1"))
            assert client.read_until(b"no_descriptors\n").startswith(b"HTTP/1.1 503 ")
        client.send(request(method + b" / HTTP/1.1"))
        assert client.read_until(b"\r\n\r\nok").startswith(b"HTTP/1.1 200 ")
    [refused, served] = origin.balancer.wait_access(2)
    assert (refused["status"], refused["reason"]) == (503, "no_descriptors")
    assert served["status"] == 200
    assert origin.balancer.metrics().sum("quoit_endpoint_requests_in_flight") == 0


def test_connections_without_a_descriptor_are_shed_and_accepting_goes_on_afterwards(scripted):
    n = 12
    port, origin = scripted(answer_each)
    balancer = origin.balancer
    refused = balancer.metrics().sum("quoit_client_connections_refused_total")
    for _ in range(2):  # the reserved descriptor is there a second time, too
        with no_more_descriptors(balancer):
            before = cpu_seconds(balancer)
            clients = [RawClient(port) for _ in range(n)]
            for client in clients:
                assert client.read_to_end() == b""  # at once or after a pause, but always
                client.sock.close()
            assert cpu_seconds(balancer) - before < 1
        with RawClient(port) as client:
            client.send(request(b"GET / HTTP/1.1"))
            assert client.read_until(b"\r\n\r\nok").startswith(b"HTTP/1.1 200 ")
    metrics = balancer.metrics()
    assert metrics.sum("quoit_client_connections_refused_total") == refused + 2 * n
    assert metrics.sum("quoit_client_connections_total") == 2


def serve_with_descriptors(limit, *arguments):
    """`quoit serve` with two workers and a limit of descriptors, started."""
    command = [str(BINARY), "serve", "--workers", "2", *arguments]
    return subprocess.Popen(["sh", "-c", f"ulimit -n {limit}; exec {shlex.join(command)}"],
                            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def refusal(limit):
    with serve_with_descriptors(limit, "--listen", "127.0.0.1:1", "--backend", "127.0.0.1:2") as run:
        _, log = run.communicate(timeout=20)
        assert run.returncode == 1, log
        return log


@pytest.mark.parametrize("limit", [4, 8, 20, 40, 75])
def test_too_few_descriptors_to_run_are_an_error_that_says_so(limit):
    assert f"too_few_descriptors limit={limit} needed=" in refusal(limit)


def test_the_least_number_of_descriptors_is_enough_to_serve(scripted):
    _, origin = scripted(answer_each)
    needed = int(re.search(r"needed=(\d+)", refusal(20)).group(1))
    port = free_port()
    with serve_with_descriptors(needed, "--listen", f"127.0.0.1:{port}", "--backend",
                                origin.addresses[0]) as run:
        wait_until(lambda: " serving " in run.stderr.readline(), 10, "it serves")
        with RawClient(port) as client:
            client.send(request(b"GET / HTTP/1.1"))
            assert client.read_until(b"\r\n\r\nok").startswith(b"HTTP/1.1 200 ")
        run.terminate()
        run.communicate(timeout=20)
        assert run.returncode == 0


def test_descriptors_do_not_leak_whatever_becomes_of_connections(scripted):
    def script(connection):
        head = connection.read_head()
        if b" /close" in head:
            return
        if b" /reset" in head:
            connection.reset()
            return
        connection.send(reply(fields=[b"Connection: close"]))

    port, origin = scripted(script)
    balancer = origin.balancer

    before = len(open_descriptors(balancer))
    for i in range(200):
        with RawClient(port) as client:
            client.send(request(b"GET /%s HTTP/1.1" % [b"ok", b"close", b"reset", b"gone"][i % 4]))
            if i % 4 == 3:
                client.reset()
            else:
                client.read_until(b"\r\n\r\n")
    wait_until(lambda: len(open_descriptors(balancer)) == before, 10, f"{before} descriptors")
    metrics = balancer.metrics()
    assert metrics.sum("quoit_endpoint_requests_in_flight") == 0
    assert metrics.sum("quoit_client_connections_open") == 0
