"""The program as a command: subcommands, help, exit codes, where errors go."""
import contextlib
import re
import signal
import subprocess

import pytest

from http_client import get
from origins import Origin
from ports import free_port
from quoit_process import BINARY, run_quoit
from waiting import wait_until

COMMANDS = ["serve", "check", "demo", "version", "help"]
GOOD = "listeners: 127.0.0.1:8080\npools:\n  web:\n    endpoints: [127.0.0.1:8081]\n"


def test_help_names_every_command_and_goes_to_standard_output():
    for arguments in (["help"], ["--help"], ["-h"]):
        result = run_quoit(*arguments)
        assert result.returncode == 0 and not result.stderr, arguments
        for command in COMMANDS:
            assert re.search(rf"^\s+(quoit )?{command}\b", result.stdout, re.MULTILINE), command


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command):
    result = run_quoit(command, "--help")
    assert result.returncode == 0 and not result.stderr
    assert f"quoit {command}" in result.stdout


def test_version_is_one_line():
    for arguments in (["version"], ["--version"]):
        result = run_quoit(*arguments)
        assert result.returncode == 0
        assert re.fullmatch(r"quoit \d+\.\d+\.\d+\n", result.stdout)


@pytest.mark.parametrize("arguments", [
    [],
    ["dance"],
    ["--dance"],
    ["serve", "--dance"],
    ["serve", "--listen"],
    ["check"],
    ["check", "one.yaml", "two.yaml", "three.yaml"],
    ["version", "surplus"],
])
def test_wrong_usage_exits_2_and_says_so_on_standard_error(arguments):
    result = run_quoit(*arguments)
    assert result.returncode == 2
    assert not result.stdout
    assert result.stderr.strip()


def test_a_wrong_word_is_repeated_in_the_error():
    assert "dance" in run_quoit("dance").stderr
    assert "--dance" in run_quoit("serve", "--dance").stderr


def test_check_accepts_a_good_file(tmp_path):
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    result = run_quoit("check", path)
    assert result.returncode == 0 and not result.stderr


def test_check_refuses_a_bad_file_with_the_place_of_the_error(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text(GOOD + "colour: blue\n")
    result = run_quoit("check", path)
    assert result.returncode == 1
    assert f"{path}:5:1: colour: " in result.stderr


def test_check_refuses_a_file_that_is_not_there(tmp_path):
    result = run_quoit("check", tmp_path / "missing.yaml")
    assert result.returncode == 1
    assert "missing.yaml" in result.stderr and "No such file" in result.stderr


def test_serve_with_a_bad_file_says_the_same_as_check_and_exits_1(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("listeners: 127.0.0.1:99999\npools: 7\n")
    checked, served = run_quoit("check", path), run_quoit("serve", "--config", path)
    assert checked.returncode == served.returncode == 1
    assert checked.stderr == served.stderr
    assert len(checked.stderr.splitlines()) == 2


def test_a_bad_flag_value_is_reported_by_the_name_of_the_flag():
    result = run_quoit("serve", "--listen", "127.0.0.1:notaport", "--backend", "127.0.0.1:1")
    assert result.returncode in (1, 2)
    assert "--listen" in result.stderr and "notaport" in result.stderr


@contextlib.contextmanager
def serving(*flags):
    """`quoit serve` with a listener and these flags; yields the port once it answers."""
    port = free_port()
    process = subprocess.Popen([BINARY, "serve", "--listen", f"127.0.0.1:{port}", *flags],
                               stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: answers(port), 20, "the balancer answers")
        yield port
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()


def test_serve_runs_from_flags_alone(origins):
    one, two = origins(2)
    with serving("--backend", one.address, "--backend", two.address) as port:
        assert {get(port, f"/{i}").origin for i in range(40)} == {one.name, two.name}


def test_set_says_more_about_a_listener_of_the_flags(origins):
    one, _ = origins(2)
    second = free_port()
    with serving("--listen", f"127.0.0.1:{second}", "--backend", one.address,
                 "--set", "listeners.1.redirect_https=true") as port:
        assert get(port, "/").status == 200
        assert get(second, "/").status == 308


def test_serve_follows_a_consul_service_from_flags_alone(origins, consul):
    one, two = origins(2)
    for origin in (one, two):
        consul.register("images", origin.name, origin.port)
    with serving("--consul", consul.url, "--service", "images") as port:
        assert {get(port, f"/{i}").origin for i in range(40)} == {one.name, two.name}


def answers(port):
    try:
        return get(port, "/").status == 200
    except OSError:
        return False


def test_a_port_that_is_taken_ends_the_start_with_its_name():
    with Origin() as taken:
        result = run_quoit("serve", "--listen", taken.address, "--backend", "127.0.0.1:1")
    assert result.returncode == 1
    assert str(taken.port) in result.stderr and "in use" in result.stderr


def test_demo_once_shows_each_key_on_its_origin():
    result = run_quoit("demo", "--once", timeout=60)
    assert result.returncode == 0
    assert "curl" in result.stdout
