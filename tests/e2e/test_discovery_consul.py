"""What a real Consul agent knows, the balancer does."""
import time

import pytest

from consul_agent import ConsulAgent
from http_client import get
from load import Load, keys, moved, owners
from waiting import wait_until

SERVICE = "images"
KEYS = keys(120)
TTL = {"Check": {"TTL": "600s", "Status": "passing"}}


def configuration(consul, service=None, **options):
    return {
        "pools": {SERVICE: {"service": {"name": SERVICE, **(service or {})}}},
        "consul": {"address": consul.url, "hold": "1s", "backoff_min": "50ms",
                   "backoff_max": "500ms", **options},
    }


def wait_usable(balancer, n, timeout=20):
    wait_until(lambda: balancer.usable(SERVICE) == n, timeout,
               lambda: f"{n} usable endpoints: {balancer.state(SERVICE)}\n{balancer.log()[-2000:]}")


def wait_owners(balancer, origins, timeout=10):
    """Until exactly these origins answer; returns who answers which key."""
    names = {origin.name for origin in origins}
    return wait_until(lambda: set((found := owners(balancer.port, KEYS)).values()) == names
                      and found, timeout, f"answers from {names}")


def assert_nothing_lost(load):
    assert not load.errors, f"{len(load.errors)} of {len(load.records)} lost: {load.errors[:5]}"


@pytest.fixture
def fleet(quoit, consul, origins):
    """fleet(n, service options) registers n origins, each with a TTL check: (balancer, origins)"""
    def start(n=3, register=None, **service):
        started = origins(n)
        for origin in started:
            consul.register(SERVICE, origin.name, origin.port, **{**TTL, **(register or {})})
        balancer = quoit(configuration(consul, service))
        wait_usable(balancer, n)
        return balancer, started

    return start


def test_a_new_instance_is_used_within_a_second(fleet, consul, origins):
    balancer, old = fleet(2)
    [new] = origins(1)
    begun = time.monotonic()
    consul.register(SERVICE, new.name, new.port)
    wait_until(lambda: new.name in owners(balancer.port, KEYS).values(), 5)
    assert time.monotonic() - begun < 1
    begun = time.monotonic()
    consul.deregister(new.name)
    wait_owners(balancer, old)
    assert time.monotonic() - begun < 1


def test_maintenance_of_an_instance_moves_exactly_its_keys_and_brings_them_back(fleet, consul):
    balancer, origins = fleet(3)
    before = owners(balancer.port, KEYS)
    victim = origins[1]
    with Load(balancer.port, KEYS) as load:
        consul.maintain(True, victim.name)
        during = wait_owners(balancer, [origins[0], origins[2]])
        assert set(moved(before, during)) == {key for key in KEYS if before[key] == victim.name}
        consul.maintain(False, victim.name)
        wait_usable(balancer, 3)
    assert_nothing_lost(load)
    assert owners(balancer.port, KEYS) == before


def test_maintenance_of_the_node_takes_all_its_instances_away(fleet, consul):
    balancer, origins = fleet(2)
    consul.maintain(True)
    wait_until(lambda: set(balancer.state(SERVICE).values()) == {"maintenance"}, 10)
    assert get(balancer.port, "/").status == 503
    consul.maintain(False)
    wait_usable(balancer, 2)
    wait_owners(balancer, origins)


def test_a_critical_check_moves_exactly_its_keys_and_brings_them_back(fleet, consul):
    balancer, origins = fleet(3)
    before = owners(balancer.port, KEYS)
    victim = origins[0]
    with Load(balancer.port, KEYS) as load:
        consul.set_check(victim.name, "critical")
        during = wait_owners(balancer, origins[1:])
        assert set(moved(before, during)) == {k for k in KEYS if before[k] == victim.name}
        consul.set_check(victim.name, "passing")
        wait_usable(balancer, 3)
        assert owners(balancer.port, KEYS) == before
    assert_nothing_lost(load)


def test_an_instance_that_registers_critical_waits_until_it_passes(fleet, consul, origins):
    balancer, old = fleet(2)
    [new] = origins(1)
    consul.register(SERVICE, new.name, new.port, Check={"TTL": "600s"})
    wait_until(lambda: len(balancer.state(SERVICE)) == 3, 10)
    assert balancer.usable(SERVICE) == 2
    wait_owners(balancer, old)
    consul.set_check(new.name, "passing")
    wait_owners(balancer, [*old, new])


@pytest.mark.parametrize("warning, usable", [("use", 2), ("skip", 1)])
def test_what_a_warning_means_is_a_choice(fleet, consul, warning, usable):
    balancer, origins = fleet(2, warning=warning, register={
        "Weights": {"Passing": 100, "Warning": 10}})
    begun = len(balancer.events("endpoint_state"))
    consul.set_check(origins[0].name, "warning")
    wait_until(lambda: len(balancer.events("endpoint_state")) > begun, 10, "the change")
    wait_usable(balancer, usable)
    answered = [get(balancer.port, key).origin for key in KEYS]
    share = answered.count(origins[0].name) / len(KEYS)
    assert share < 0.25 if warning == "use" else share == 0  # a tenth of the other's weight


def test_weights_share_the_keys(quoit, consul, origins):
    [light, heavy] = origins(2)
    consul.register(SERVICE, light.name, light.port, Weights={"Passing": 1, "Warning": 1})
    consul.register(SERVICE, heavy.name, heavy.port, Weights={"Passing": 4, "Warning": 1})
    balancer = quoit(configuration(consul))
    wait_usable(balancer, 2)
    answered = list(owners(balancer.port, keys(400)).values())
    assert 0.7 < answered.count(heavy.name) / len(answered) < 0.9


def test_tag_and_filter_choose_instances(quoit, consul, origins):
    [blue, green, other] = origins(3)
    consul.register(SERVICE, blue.name, blue.port, Tags=["v2", "blue one"], Meta={"zone": "a"})
    consul.register(SERVICE, green.name, green.port, Tags=["v2", "green"], Meta={"zone": "b"})
    consul.register(SERVICE, other.name, other.port, Tags=["v1"], Meta={"zone": "a"})
    wait_owners(quoit(configuration(consul, {"tag": "v2"})), [blue, green])
    wait_owners(quoit(configuration(consul, {"tag": "blue one"})), [blue])
    wait_owners(quoit(configuration(consul, {"filter": 'Service.Meta.zone == "a"'})),
                [blue, other])
    wait_owners(quoit(configuration(consul, {
        "tag": "v2", "filter": 'Service.Meta.zone == "a" and Checks.Status != "critical"'})), [blue])


def test_a_service_that_is_deleted_is_believed_after_the_hold(fleet, consul):
    balancer, origins = fleet(2)
    begun = time.monotonic()
    for origin in origins:
        consul.deregister(origin.name)
    wait_until(lambda: get(balancer.port, "/").status == 503, 10, "the pool to empty")
    assert time.monotonic() - begun >= 0.9
    assert balancer.events("discovery_held")
    consul.register(SERVICE, origins[0].name, origins[0].port)
    wait_usable(balancer, 1)
    wait_owners(balancer, origins[:1])


def test_an_agent_that_restarts_loses_no_request(fleet, consul, origins):
    balancer, old = fleet(3)
    before = owners(balancer.port, KEYS)
    for origin in old:  # an agent remembers what a heartbeat said, not what a registration did
        consul.set_check(origin.name, "passing")
    with Load(balancer.port, KEYS) as load:
        consul.kill()
        wait_until(lambda: balancer.events("discovery_failed"), 10)
        consul.start()
        [new] = origins(1)
        consul.register(SERVICE, new.name, new.port)
        wait_usable(balancer, 4, 30)
    assert_nothing_lost(load)
    after = owners(balancer.port, KEYS)
    assert {to for _, to in moved(before, after).values()} == {new.name}


def test_an_agent_that_forgot_everything_loses_no_request(fleet, consul, origins):
    """A new cluster at the same address: a lower index and an empty service, then a new life."""
    balancer, old = fleet(2)
    index = balancer.metrics().sum("quoit_discovery_index", pool=SERVICE)
    consul.kill()
    consul.forget()
    consul.start()
    with Load(balancer.port, KEYS) as load:
        for origin in [*old, *origins(1)]:
            consul.register(SERVICE, origin.name, origin.port)
        wait_until(lambda: len(set(owners(balancer.port, KEYS).values())) == 3, 20)
    assert_nothing_lost(load)
    assert 0 < balancer.metrics().sum("quoit_discovery_index", pool=SERVICE) <= index + 10


def test_an_instance_without_a_port_is_left_out(fleet, consul):
    balancer, origins = fleet(2)
    consul.register(SERVICE, "portless", 0)
    [event] = wait_until(lambda: balancer.events("instances_rejected"), 10)
    assert event["count"] == 1
    wait_owners(balancer, origins)


def test_a_datacenter_that_does_not_exist_is_an_error_and_no_more(quoit, consul):
    balancer = quoit(configuration(consul, {"datacenter": "atlantis"}), wait_ready=False)
    wait_until(lambda: balancer.events("serving_unfilled"), 20)
    assert "datacenter" in balancer.events("discovery_failed")[0]["error"]
    assert balancer.admin("/healthz")[0] == 200
    assert balancer.admin("/readyz")[0] == 503


def test_instances_outside_of_any_agent_are_found(quoit, consul, origins):
    [origin] = origins(1)
    consul.request("PUT", "/v1/catalog/register", {
        "Node": "mainframe", "Address": "127.0.0.1",
        "Service": {"Service": SERVICE, "ID": "external", "Port": origin.port}})
    balancer = quoit(configuration(consul))
    wait_owners(balancer, [origin])


def test_many_instances_come_and_go(quoit, consul, origins):
    n = 100
    [real] = origins(1)
    consul.register(SERVICE, real.name, real.port)
    balancer = quoit(configuration(consul))
    for i in range(n):
        consul.register(SERVICE, f"idle-{i}", 10000 + i, Check={"TTL": "600s"})
    wait_until(lambda: len(balancer.state(SERVICE)) == n + 1, 60)
    assert get(balancer.port, "/").origin == real.name
    for i in range(n):
        consul.deregister(f"idle-{i}")
    wait_until(lambda: len(balancer.state(SERVICE)) == 1, 60)
    assert get(balancer.port, "/").origin == real.name


# --- ACLs ---------------------------------------------------------------------------------------


@pytest.fixture
def guarded(tmp_path):
    """An agent that denies by default, and its management token at hand: an agent with .token"""
    master = "11111111-2222-3333-4444-555555555555"
    agent = ConsulAgent(tmp_path, acl={
        "enabled": True, "default_policy": "deny", "tokens": {"master": master, "agent": master}},
        token=master)
    yield agent
    agent.kill()


def make_token(consul, rules):
    policies = consul.request("GET", "/v1/acl/policies")
    name = f"policy-{len(policies)}"
    consul.request("PUT", "/v1/acl/policy", {"Name": name, "Rules": rules})
    return consul.request("PUT", "/v1/acl/token", {"Policies": [{"Name": name}]})


def set_rules(consul, policy, rules):
    consul.request("PUT", f"/v1/acl/policy/{policy['ID']}", {"Name": policy["Name"], "Rules": rules})


READ = 'service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }'


def test_a_token_that_is_deleted_takes_no_endpoint_away(quoit, guarded, origins, tmp_path):
    [origin] = origins(1)
    guarded.register(SERVICE, origin.name, origin.port)
    token = make_token(guarded, READ)
    path = tmp_path / "token"
    path.write_text(token["SecretID"])
    balancer = quoit(configuration(guarded, token_file=str(path), wait="1s"))
    wait_owners(balancer, [origin])
    guarded.request("DELETE", f"/v1/acl/token/{token['AccessorID']}")
    [failure, *_] = wait_until(lambda: balancer.events("discovery_failed"), 20)
    assert "403" in failure["error"]
    assert get(balancer.port, "/").origin == origin.name
    path.write_text(make_token(guarded, READ)["SecretID"])
    new = origins(1)[0]
    guarded.register(SERVICE, new.name, new.port)
    wait_owners(balancer, [origin, new])
    assert token["SecretID"] not in balancer.log()


def test_a_token_that_loses_its_rights_for_a_moment_loses_no_request(quoit, guarded, origins):
    """Consul 1.8 filters without a word: to a token without rights, every service is empty."""
    [origin] = origins(1)
    guarded.register(SERVICE, origin.name, origin.port)
    token = make_token(guarded, READ)
    balancer = quoit(configuration(guarded, token=token["SecretID"], wait="1s", hold="5s"))
    wait_owners(balancer, [origin])
    [policy] = token["Policies"]
    with Load(balancer.port, KEYS) as load:
        set_rules(guarded, policy, 'key_prefix "" { policy = "read" }')
        wait_until(lambda: balancer.events("discovery_held"), 20)
        set_rules(guarded, policy, READ)
        [new] = origins(1)
        guarded.register(SERVICE, new.name, new.port)
        wait_usable(balancer, 2)
    assert_nothing_lost(load)
