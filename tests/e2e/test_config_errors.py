"""A wrong configuration: every mistake at once, with its place, its key and what was expected."""
import re
import textwrap

import pytest

from quoit_process import run_quoit

LINE = re.compile(r"(?P<file>[^:]*):(?P<line>\d+):(?P<column>\d+): (?:(?P<key>\S+): )?(?P<text>.+)")

HEAD = "listeners: 127.0.0.1:8080\n"
POOL = "pools:\n  web:\n    endpoints: [127.0.0.1:8081]\n"


def errors_of(tmp_path, text):
    """[(line, column, key, text)] of the mistakes that `quoit check` finds."""
    path = tmp_path / "quoit.yaml"
    path.write_text(textwrap.dedent(text))
    result = run_quoit("check", path)
    assert result.returncode == 1, result.stderr
    matches = [LINE.fullmatch(line) for line in result.stderr.splitlines()]
    assert all(matches), result.stderr
    assert {match["file"] for match in matches} == {str(path)}
    return [(int(m["line"]), int(m["column"]), m["key"], m["text"]) for m in matches]


def test_all_mistakes_are_reported_at_once(tmp_path):
    found = errors_of(tmp_path, """\
        listeners: 127.0.0.1:99999
        workers: many
        colour: blue
        pools:
          web:
            endpoints: [127.0.0.1:8081]
            algorithm: roulette
            timeouts:
              connect: 2
        routes:
          - path: /
            pool: wbe
        """)
    assert {(line, key) for line, _, key, _ in found} == {
        (1, "listeners"), (2, "workers"), (3, "colour"), (7, "pools.web.algorithm"),
        (9, "pools.web.timeouts.connect"), (12, "routes.0.pool"),
    }


@pytest.mark.parametrize("text, place, key, says", [
    (HEAD + POOL + "workers: 0\n", (5, 10), "workers", "1"),
    (HEAD + POOL + "workers: [2]\n", (5, 10), "workers", "list"),
    (HEAD + POOL + "buffer_size: 64q\n", (5, 14), "buffer_size", "64q"),
    (HEAD + POOL + "drain_timeout: 5 parsecs\n", (5, 16), "drain_timeout", "5 parsecs"),
    (HEAD + POOL + "log:\n  level: loud\n", (6, 10), "log.level", "debug"),
    (HEAD + POOL + "log: {format: xml}\n", (5, 15), "log.format", "json"),
    (HEAD + POOL + "workers: 2\nworkers: 3\n", (6, 1), "workers", "line 5"),
    (HEAD + POOL + "consul: {address: localhost}\n", (5, 19), "consul.address", "http"),
    (HEAD + POOL + "    hash_key: moon\n", (5, 15), "pools.web.hash_key", "path"),
    (HEAD + POOL + "    slots: 1000\n", (5, 12), "pools.web.slots", "power of two"),
    (HEAD + POOL + "    health_check: {expect: 99}\n", (5, 28), "pools.web.health_check.expect",
     "99"),
    (HEAD + "pools:\n  web:\n    endpoints: [nowhere]\n", (4, 17), "pools.web.endpoints.0", "port"),
])
def test_a_mistake_has_its_place_key_and_reason(tmp_path, text, place, key, says):
    [(line, column, found_key, found_text)] = errors_of(tmp_path, text)
    assert (line, column, found_key) == (*place, key), found_text
    assert says in found_text


def test_broken_yaml_is_one_error_with_its_place(tmp_path):
    [(line, _, key, _)] = errors_of(tmp_path, HEAD + "pools: [web\nworkers: 2\n")
    assert line in (2, 3) and key is None


def test_an_unknown_key_is_met_with_the_nearest_known_one(tmp_path):
    [(_, _, key, text)] = errors_of(tmp_path, HEAD + POOL + "    algoritm: hash\n")
    assert key == "pools.web.algoritm"
    assert "algorithm" in text


def test_what_is_missing_is_named(tmp_path):
    found = {key for _, _, key, _ in errors_of(tmp_path, "workers: 1\n")}
    assert found == {"listeners", "pools"}


def test_a_secret_is_not_repeated_in_an_error(tmp_path):
    text = HEAD + POOL + "consul: {token: [s3cr3t-value], address: 'http://127.0.0.1:8500'}\n"
    found = errors_of(tmp_path, text)
    assert found and not any("s3cr3t" in message for *_, message in found)


def test_json_is_accepted(tmp_path):
    path = tmp_path / "quoit.json"
    path.write_text('{"listeners": ["127.0.0.1:8080"], "workers": 2,\n'
                    ' "pools": {"web": {"endpoints": ["127.0.0.1:8081"]}}}\n')
    result = run_quoit("check", path)
    assert result.returncode == 0, result.stderr
