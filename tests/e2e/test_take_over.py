"""Two processes on one address: by mistake not at all, on purpose without losing a request."""
import json
import signal

import pytest

from http_client import Client, get
from load import Load
from quoit_process import run_quoit, static_pool
from waiting import wait_until

KEYS = [f"/k/{i}" for i in range(40)]


def at(port, origins, **more):
    return {"listeners": [{"address": f"127.0.0.1:{port}"}],
            "pools": {"web": static_pool(origins)}, **more}


def test_a_second_process_on_the_address_is_refused_and_takes_no_request(quoit, origins, tmp_path):
    started = origins(1)
    first = quoit({"pools": {"web": static_pool(started)}})
    path = tmp_path / "second.json"
    path.write_text(json.dumps(at(first.port, started)))
    result = run_quoit("serve", "--config", path)
    assert result.returncode == 1
    assert "listen_failed" in result.stderr and "take_over" in result.stderr
    for key in KEYS:
        assert get(first.port, key).status == 200


def test_taking_over_under_load_loses_nothing(quoit, origins):
    started = origins(2)
    first = quoit({"pools": {"web": static_pool(started)}})
    with Load(first.port, KEYS) as load:
        load.wait_for_requests(len(KEYS))
        second = quoit(at(first.port, started, take_over=True))
        first.signal(signal.SIGTERM)
        assert first.process.wait(15) == 0
        load.wait_for_requests(2 * len(KEYS))
    assert not load.errors, load.errors[:5]
    assert second.metrics().sum("quoit_pool_requests_total") > 0


def test_one_that_took_over_is_taken_over_in_turn(quoit, origins):
    started = origins(1)
    before = quoit({"pools": {"web": static_pool(started)}})
    for _ in range(2):
        after = quoit(at(before.port, started, take_over=True))
        after.port = before.port
        before.signal(signal.SIGTERM)
        assert before.process.wait(15) == 0
        assert get(after.port, "/").status == 200
        before = after


@pytest.mark.parametrize("take_over", [False, True])
def test_while_the_first_one_drains_the_address_is_free(quoit, origins, take_over):
    """Its connections go on, its listeners are gone: a plain restart does not wait for them."""
    [origin] = origins(1)
    first = quoit({"pools": {"web": static_pool([origin])}})
    with Client(first.port) as client:
        client.send("GET", "/slow?delay=3")
        wait_until(lambda: origin.requests)
        first.signal(signal.SIGTERM)
        wait_until(lambda: first.events("draining"))
        second = quoit(at(first.port, [origin], take_over=take_over))
        assert get(first.port, "/").status == 200
        assert client.receive().status == 200
    assert second.metrics().sum("quoit_pool_requests_total") == 1
    assert first.process.wait(15) == 0
