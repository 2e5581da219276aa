"""The main promise: the fleet changes under load, no request is lost, and only the keys of the
endpoint that changed move."""
import signal
import threading
import time

import pytest

from http_client import Client, RawClient, get
from load import Load, keys, moved, owners
from quoit_process import static_pool
from waiting import wait_until

SERVICE = "images"
KEYS = keys(200)

# Quick enough for a test, slow enough for a machine that is busy with the load.
CHECK = {"path": "/health", "interval": "200ms", "timeout": "400ms", "rise": 2, "fall": 2}


def consul_pool(consul, **more):
    return {
        "pools": {SERVICE: {"service": SERVICE, **more}},
        "consul": {"address": consul.url, "hold": "2s", "backoff_min": "50ms",
                   "backoff_max": "500ms"},
    }


def register(consul, origin):
    consul.register(SERVICE, origin.name, origin.port)


def wait_usable(balancer, n, timeout=20):
    wait_until(lambda: balancer.usable(SERVICE) == n, timeout,
               lambda: f"{n} usable endpoints: {balancer.state(SERVICE)}")


def assert_nothing_lost(load):
    assert not load.errors, f"{len(load.errors)} of {len(load.records)} lost: {load.errors[:5]}"


def assert_only_moved(load, before, name):
    """During the whole load each key stayed with its owner, or went from or to the named origin."""
    for key, counts in load.by_key.items():
        others = set(counts) - {before[key], name}
        if before[key] == name:
            assert counts, key
        else:
            assert not others, f"{key} of {before[key]} was answered by {others}"


def strangers(load, before, gone):
    """Keys of origins that were never in trouble, answered by another one all the same."""
    return {key: counts for key, counts in load.by_key.items()
            if before[key] != gone and set(counts) != {before[key]}}


@pytest.fixture
def fleet(quoit, consul, origin_processes):
    """Three origins registered in Consul and a balancer in front: (balancer, origins, owners)."""
    def start(n=3, **pool):
        started = origin_processes(n)
        for origin in started:
            register(consul, origin)
        balancer = quoit(consul_pool(consul, **pool))
        wait_usable(balancer, n)
        return balancer, started, owners(balancer.port, KEYS)

    return start


def test_scaling_up_moves_keys_only_to_the_new_endpoint(fleet, consul, origin_processes):
    balancer, _, before = fleet(3)
    [new] = origin_processes(1)
    with Load(balancer.port, KEYS) as load:
        register(consul, new)
        wait_usable(balancer, 4)
        load.wait_for_requests(2 * len(KEYS))
    after = owners(balancer.port, KEYS)
    changed = moved(before, after)
    assert_nothing_lost(load)
    assert {to for _, to in changed.values()} == {new.name}
    assert len(KEYS) * 0.1 < len(changed) < len(KEYS) * 0.4, len(changed)  # a quarter is fair
    assert_only_moved(load, before, new.name)


def test_scaling_down_moves_only_the_keys_of_the_endpoint_that_left(fleet, consul):
    balancer, origins, before = fleet(3)
    gone = origins[0]
    with Load(balancer.port, KEYS) as load:
        consul.deregister(gone.name)
        wait_usable(balancer, 2)
        load.wait_for_requests(2 * len(KEYS))
    after = owners(balancer.port, KEYS)
    assert_nothing_lost(load)
    assert set(moved(before, after)) == {key for key in KEYS if before[key] == gone.name}
    assert not strangers(load, before, gone.name)


def test_a_request_in_flight_on_a_removed_endpoint_finishes(fleet, consul):
    balancer, origins, before = fleet(3)
    gone = origins[0]
    path = next(key for key in KEYS if before[key] == gone.name)
    with Client(balancer.port) as client:
        client.send("GET", f"{path}?bytes=40960&drip=0.2")  # ten pieces, two seconds
        wait_until(lambda: gone.command()["open_connections"] > 0)
        consul.deregister(gone.name)
        wait_usable(balancer, 2)
        answer = client.receive()
    assert (answer.status, answer.origin, len(answer.body)) == (200, gone.name, 40960)


def test_a_killed_endpoint_costs_no_request_and_gets_its_keys_back(fleet):
    balancer, origins, before = fleet(3, health_check=CHECK)
    victim = origins[1]
    with Load(balancer.port, KEYS) as load:
        victim.kill()
        wait_usable(balancer, 2)
        load.wait_for_requests(2 * len(KEYS))
        without = owners(balancer.port, KEYS)
        victim.start()
        wait_usable(balancer, 3)
        load.wait_for_requests(2 * len(KEYS))
    assert_nothing_lost(load)
    assert set(moved(before, without)) == {key for key in KEYS if before[key] == victim.name}
    assert owners(balancer.port, KEYS) == before
    assert not strangers(load, before, victim.name)


def test_a_killed_endpoint_costs_no_request_without_a_health_check(fleet):
    balancer, origins, before = fleet(3)
    with Load(balancer.port, KEYS) as load:
        origins[1].kill()
        load.wait_for_requests(4 * len(KEYS))
    assert_nothing_lost(load)
    assert not strangers(load, before, origins[1].name)


def test_a_stopped_endpoint_costs_no_request(fleet):
    balancer, origins, before = fleet(
        3, health_check=CHECK, timeouts={"connect": "500ms", "response": "1s"})
    victim = origins[2]
    with Load(balancer.port, KEYS) as load:
        victim.freeze()
        wait_usable(balancer, 2)
        load.wait_for_requests(2 * len(KEYS))
        victim.thaw()
        wait_usable(balancer, 3)
        load.wait_for_requests(2 * len(KEYS))
    assert_nothing_lost(load)
    assert max(record.seconds for record in load.records) < 5
    assert owners(balancer.port, KEYS) == before
    assert not strangers(load, before, victim.name)


@pytest.fixture
def checked_fleet(quoit, consul, origin_processes):
    """Origins with a TTL check each in Consul, no probe of quoit's own, and patient timeouts."""
    def start(n):
        started = origin_processes(n)
        for origin in started:
            consul.register(SERVICE, origin.name, origin.port,
                            Check={"TTL": "10m", "Status": "passing"})
        balancer = quoit(consul_pool(consul, timeouts={"response": "2m"}))
        wait_usable(balancer, n)
        return balancer, started, owners(balancer.port, KEYS)

    return start


def test_requests_that_wait_for_a_critical_endpoint_go_elsewhere(checked_fleet, consul):
    balancer, origins, before = checked_fleet(3)
    victim = origins[0]
    with Load(balancer.port, KEYS) as load:
        victim.freeze()
        wait_until(lambda: balancer.metrics().sum(
            "quoit_endpoint_requests_in_flight", endpoint=f"127.0.0.1:{victim.port}") > 0)
        consul.set_check(victim.name, "critical")
        wait_usable(balancer, 2)
        load.wait_for_requests(2 * len(KEYS))
        victim.thaw()
    assert_nothing_lost(load)
    assert not strangers(load, before, victim.name)


def test_a_request_waits_on_when_there_is_nowhere_else_to_go(checked_fleet, consul):
    balancer, [only], _ = checked_fleet(1)
    only.freeze()
    with Client(balancer.port) as client:
        client.send("GET", KEYS[0])
        wait_until(lambda: balancer.metrics().sum("quoit_endpoint_requests_in_flight") > 0)
        consul.set_check(only.name, "critical")
        wait_usable(balancer, 0)
        assert get(balancer.port, KEYS[0]).status == 503  # new ones are told at once
        only.thaw()
        assert client.receive().status == 200


def test_a_failing_health_check_moves_exactly_its_keys_and_brings_them_back(fleet):
    balancer, origins, before = fleet(3, health_check=CHECK)
    sick = origins[0]
    with Load(balancer.port, KEYS) as load:
        sick.command(health_status=503)
        wait_usable(balancer, 2)
        without = owners(balancer.port, KEYS)
        sick.command(health_status=200)
        wait_usable(balancer, 3)
        after = owners(balancer.port, KEYS)
    assert_nothing_lost(load)
    assert set(moved(before, without)) == {key for key in KEYS if before[key] == sick.name}
    assert after == before
    assert not strangers(load, before, sick.name)


def test_a_dead_consul_changes_nothing_and_a_new_one_is_followed(fleet, consul, origin_processes):
    balancer, _, before = fleet(3)
    [new] = origin_processes(1)
    with Load(balancer.port, KEYS) as load:
        failures = balancer.metrics().sum("quoit_discovery_errors_total", pool=SERVICE)
        consul.kill()
        wait_until(lambda: balancer.metrics().sum(
            "quoit_discovery_errors_total", pool=SERVICE) >= failures + 3, 20, "errors are counted")
        assert owners(balancer.port, KEYS) == before
        assert balancer.admin("/readyz")[0] == 200
        consul.start()
        load.wait_for_requests(len(KEYS))
        register(consul, new)
        wait_usable(balancer, 4, 30)
        load.wait_for_requests(len(KEYS))
    assert_nothing_lost(load)
    assert_only_moved(load, before, new.name)
    assert {to for _, to in moved(before, owners(balancer.port, KEYS)).values()} == {new.name}


def test_every_endpoint_replaced_one_by_one_loses_nothing(fleet, consul, origin_processes):
    balancer, old, _ = fleet(3)
    new = origin_processes(3)
    with Load(balancer.port, KEYS) as load:
        for leaving, coming in zip(old, new):
            register(consul, coming)
            wait_usable(balancer, 4)
            consul.deregister(leaving.name)
            wait_usable(balancer, 3)
            leaving.kill()
            load.wait_for_requests(len(KEYS))
    assert_nothing_lost(load)
    assert set(owners(balancer.port, KEYS).values()) == {origin.name for origin in new}


def test_two_balancers_agree_on_every_key_whatever_the_order_of_their_lists(quoit, origins):
    started = origins(5)
    one = quoit({"pools": {SERVICE: static_pool(started)}})
    two = quoit({"pools": {SERVICE: static_pool(started[::-1])}})
    assert owners(one.port, KEYS) == owners(two.port, KEYS)


# --- SIGTERM ------------------------------------------------------------------------------------


def test_sigterm_under_keep_alive_load_loses_nothing(quoit, origins):
    balancer = quoit({"pools": {SERVICE: static_pool(origins(3))}})
    with Load(balancer.port, KEYS, stop_when_refused=True) as load:
        begun = time.monotonic()
        balancer.signal(signal.SIGTERM)
        assert balancer.process.wait(15) == 0
        seconds = time.monotonic() - begun
        load.wait_until_refused()
    assert_nothing_lost(load)
    assert load.refused == 8
    assert any(record.closing for record in load.records)
    assert seconds < 10


def test_sigterm_under_a_load_of_new_connections_loses_nothing(quoit, origins):
    balancer = quoit({"pools": {SERVICE: static_pool(origins(3))}})
    with Load(balancer.port, KEYS, keep_alive=False, stop_when_refused=True) as load:
        balancer.signal(signal.SIGTERM)
        assert balancer.process.wait(15) == 0
        load.wait_until_refused()
    assert_nothing_lost(load)


def test_sigterm_lets_a_running_request_finish_and_closes_its_connection(quoit, origins):
    [origin] = origins(1)
    balancer = quoit({"pools": {SERVICE: static_pool([origin])}})
    with Client(balancer.port) as client:
        client.send("GET", "/slow?delay=1.5")
        wait_until(lambda: origin.requests)
        balancer.signal(signal.SIGTERM)
        answer = client.receive()
    assert (answer.status, answer.origin) == (200, origin.name)
    assert answer.will_close
    assert balancer.process.wait(5) == 0


def test_sigterm_stops_accepting_while_a_request_still_runs(quoit, origins):
    [origin] = origins(1)
    balancer = quoit({"pools": {SERVICE: static_pool([origin])}})
    with Client(balancer.port) as client:
        client.send("GET", "/slow?delay=2")
        wait_until(lambda: origin.requests)
        balancer.signal(signal.SIGTERM)
        wait_until(lambda: is_refused(balancer.port), 1.5, "the listener closed")
        assert balancer.admin("/readyz")[0] == 503  # the load balancer in front is told
        assert client.receive().status == 200


def test_sigterm_ends_in_bounded_time_whatever_still_runs(quoit, origins):
    [origin] = origins(1)
    balancer = quoit({"pools": {SERVICE: static_pool([origin])}, "drain_timeout": "1s"})
    with RawClient(balancer.port) as client:
        client.send(b"GET /slow?delay=8 HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: origin.requests)
        begun = time.monotonic()
        balancer.signal(signal.SIGTERM)
        assert balancer.process.wait(5) == 0
        assert 0.8 < time.monotonic() - begun < 4


def test_a_second_sigterm_ends_it_at_once(quoit, origins):
    [origin] = origins(1)
    balancer = quoit({"pools": {SERVICE: static_pool([origin])}, "drain_timeout": "60s"})
    with RawClient(balancer.port) as client:
        client.send(b"GET /slow?delay=8 HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: origin.requests)
        balancer.signal(signal.SIGTERM)
        wait_until(lambda: is_refused(balancer.port), 2, "the listener closed")
        balancer.signal(signal.SIGTERM)
        assert balancer.process.wait(5) == 0


def test_a_storm_of_signals_ends_it_as_cleanly_as_one(quoit, origins):
    started = origins(1)
    for _ in range(8):  # there are few moments in which it could matter
        balancer = quoit({"pools": {SERVICE: static_pool(started)}})
        deadline = time.monotonic() + 20
        while balancer.process.poll() is None:
            assert time.monotonic() < deadline, "it does not end"
            balancer.signal(signal.SIGTERM)
        assert balancer.process.returncode == 0


def is_refused(port):
    try:
        get(port, "/")
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


# --- what must not be sent twice ------------------------------------------------------------------


def test_a_post_is_never_sent_twice(quoit, origins):
    """The endpoint takes the request and dies without an answer: the client learns of it."""
    started = origins(3)
    seen = threading.Semaphore(0)

    def hang_up(connection, request):
        connection.read_body(request)
        seen.release()
        return False

    for origin in started:
        origin.raw_behaviour = hang_up
    balancer = quoit({"pools": {SERVICE: static_pool(started)}})
    with Client(balancer.port) as client:
        assert client.ask("POST", "/order", b"one book").status == 502
    assert seen.acquire(timeout=1)
    assert not seen.acquire(timeout=0.5)
    assert sum(len(origin.requests) for origin in started) == 1


def test_a_get_without_an_answer_goes_to_another_endpoint(quoit, origins):
    started = origins(3)
    started[0].raw_behaviour = lambda connection, request: False
    balancer = quoit({"pools": {SERVICE: static_pool(started)}})
    answers = [get(balancer.port, key) for key in KEYS[:60]]
    assert {answer.status for answer in answers} == {200}
    assert started[0].requests, "no key belongs to the endpoint that hangs up"
