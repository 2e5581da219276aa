"""`quoit demo`: its table, its ports, its end; and flags laid over a file."""
import re
import signal
import subprocess

import pytest

from http_client import get
from origins import Origin
from ports import free_port
from quoit_process import BINARY, run_quoit
from waiting import wait_until


@pytest.fixture
def demo(tmp_path):
    """A running demo: (its port, its process, what it has printed)."""
    path = tmp_path / "demo.out"
    with open(path, "wb") as out:
        process = subprocess.Popen([BINARY, "demo", "--port", "0"], stdin=subprocess.DEVNULL,
                                   stdout=out, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: "Ctrl-C" in path.read_text(), 30, path.read_text)
        port = int(re.search(r"balancer\s+http://127\.0\.0\.1:(\d+)", path.read_text())[1])
        yield port, process, path.read_text()
    finally:
        process.kill()
        process.wait()


def rows(text):
    """{key: [who answered it]} of the table."""
    return {key: re.findall(r"origin-\d", line)
            for key, line in re.findall(r"^  (/\S+)(.*)$", text, re.MULTILINE)}


def test_each_key_stays_on_its_origin():
    result = run_quoit("demo", "--once", "--port", "0", timeout=60)
    assert result.returncode == 0, result.stderr
    table = rows(result.stdout)
    assert len(table) >= 6
    assert all(len(who) == 3 and len(set(who)) == 1 for who in table.values()), result.stdout


def test_the_demo_goes_on_as_its_table_says(demo):
    port, _, text = demo
    for key, who in rows(text).items():
        assert get(port, key).origin == who[0]


def test_an_origin_counts_what_it_has_seen(demo):
    port, _, text = demo
    key = next(iter(rows(text)))
    assert get(port, key).body.endswith(b"times it has seen this path: 4\n")
    assert get(port, key).body.endswith(b"times it has seen this path: 5\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_demo(demo, number):
    _, process, _ = demo
    process.send_signal(number)
    assert process.wait(20) == 0


def test_a_port_that_is_taken_is_named_with_a_way_out():
    with Origin() as taken:
        result = run_quoit("demo", "--port", taken.port)
    assert result.returncode == 1
    assert str(taken.port) in result.stderr and "--port" in result.stderr


def test_a_consul_that_is_not_there_ends_the_demo():
    result = run_quoit("demo", "--once", "--port", "0", "--consul",
                       f"http://127.0.0.1:{free_port()}")
    assert result.returncode == 1
    assert "Consul" in result.stderr


def test_flags_override_the_file(tmp_path):
    ports = [free_port(), free_port()]
    path = tmp_path / "quoit.yaml"
    with Origin("one") as one, Origin("two") as two:
        path.write_text(f"listeners: 127.0.0.1:{ports[0]}\nworkers: 1\n"
                        f"pools:\n  web:\n    endpoints: [{one.address}]\n")
        process = subprocess.Popen(
            [BINARY, "serve", "--config", path, "--listen", f"127.0.0.1:{ports[1]}",
             "--set", f"pools.web.endpoints.0={two.address}"],
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            assert wait_until(lambda: origin_at(ports[1]), 20, "the balancer answers") == "two"
            assert origin_at(ports[0]) is None
        finally:
            process.terminate()
            assert process.wait(20) == 0


def origin_at(port):
    try:
        return get(port, "/").origin
    except OSError:
        return None
