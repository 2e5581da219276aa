"""With a ramp, endpoints gain and give up their keys gradually, and no request is lost."""
import pytest

from load import Load, keys
from waiting import wait_until

SERVICE = "images"
KEYS = keys(200)
RAMP_S = 5
TTL = {"Check": {"TTL": "600s", "Status": "passing"}}


@pytest.fixture
def fleet(quoit, consul, origins):
    """Three warm origins behind a pool with a ramp: (balancer, origins)"""
    started = origins(3)
    for origin in started:
        consul.register(SERVICE, origin.name, origin.port, **TTL)
    balancer = quoit({
        "pools": {SERVICE: {"service": SERVICE, "ramp": f"{RAMP_S}s"}},
        "consul": {"address": consul.url},
    })
    wait_until(lambda: balancer.usable(SERVICE) == 3, 20)
    return balancer, started


def weight(balancer, origin):
    return balancer.metrics().sum("quoit_endpoint_weight", pool=SERVICE, endpoint=origin.address)


def snapshot(balancer):
    return balancer.metrics().sum("quoit_pool_snapshot_number", pool=SERVICE)


def histories(load):
    """For each key, the origins that answered it, in order of time, without repetitions."""
    table = {}
    for record in sorted(load.records, key=lambda record: record.ended):
        line = table.setdefault(record.key, [])
        if not line or line[-1] != record.origin:
            line.append(record.origin)
    return table


def weights_until(balancer, origin, last):
    """Watches an endpoint's weight until it is `last`: every value that was seen, in order."""
    seen = [weight(balancer, origin)]

    def is_there():
        now = weight(balancer, origin)
        if now != seen[-1]:
            seen.append(now)
        return now == last

    wait_until(is_there, 10 * RAMP_S, lambda: f"a weight of {last}: {seen}")
    return seen


def assert_nothing_lost(load):
    assert not load.errors, f"{len(load.errors)} of {len(load.records)} lost: {load.errors[:5]}"


def test_a_new_instance_takes_its_keys_over_gradually(fleet, consul, origins):
    balancer, old = fleet
    [new] = origins(1)
    # One client: its answers are a history of each key.
    with Load(balancer.port, KEYS, clients=1) as load:
        consul.register(SERVICE, new.name, new.port, **TTL)
        wait_until(lambda: balancer.events("ramp_begun"), 10)
        seen = weights_until(balancer, new, 1.0)
        load.wait_for_requests(2 * len(KEYS))
    assert_nothing_lost(load)
    assert seen == sorted(seen) and len(seen) > 2, seen
    lines = histories(load)
    winners = [key for key, line in lines.items() if line[-1] == new.name]
    assert 0.1 < len(winners) / len(KEYS) < 0.45
    for key, line in lines.items():
        assert len(line) == (2 if key in winners else 1), f"{key}: {line}"
    firsts = sorted(min(record.begun for record in load.records
                        if record.key == key and record.origin == new.name) for key in winners)
    assert firsts[-1] - firsts[0] > RAMP_S / 3  # not all at once
    [ended] = wait_until(lambda: balancer.events("ramp_ended"), 10)
    assert (ended["why"], ended["endpoint"]) == ("done", new.address)


def test_maintenance_drains_an_instance_gradually(fleet, consul):
    balancer, origins = fleet
    victim = origins[1]
    with Load(balancer.port, KEYS, clients=1) as load:
        consul.maintain(True, victim.name)
        wait_until(lambda: balancer.state(SERVICE)[victim.address] == "draining", 10)
        seen = weights_until(balancer, victim, 0.0)
        wait_until(lambda: balancer.state(SERVICE)[victim.address] == "maintenance", 10)
        load.wait_for_requests(2 * len(KEYS))
    assert_nothing_lost(load)
    assert seen == sorted(seen, reverse=True) and len(seen) > 2, seen
    for key, line in histories(load).items():
        assert len(line) == (2 if line[0] == victim.name else 1), f"{key}: {line}"
        assert line[-1] != victim.name
    states = [event["to"] for event in balancer.events("endpoint_state")]
    assert states == ["draining", "maintenance"]


def test_a_short_outage_rebuilds_nothing(fleet, consul):
    balancer, origins = fleet
    before = snapshot(balancer)
    for wanted in ("critical", "passing"):
        consul.set_check(origins[0].name, wanted)
        shown = {"critical": "critical", "passing": "up"}[wanted]
        wait_until(lambda: balancer.state(SERVICE)[origins[0].address] == shown, 10)
    assert snapshot(balancer) == before
    assert not balancer.events("ramp_begun")
    assert weight(balancer, origins[0]) == 1
