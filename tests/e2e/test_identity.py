"""With identity: meta:KEY an instance's place in the hash hangs on its service metadata."""
import pytest

from load import keys, moved, owners
from waiting import wait_until

SERVICE = "images"
KEYS = keys(150)


@pytest.fixture
def balance(quoit, consul):
    """balance(n) starts a balancer and waits until it uses n instances."""
    def start(n):
        balancer = quoit({
            "pools": {SERVICE: {"service": SERVICE, "identity": "meta:shard"}},
            "consul": {"address": consul.url},
        })
        wait_identities(balancer, lambda ids: len(ids) == n)
        return balancer

    return start


def identities(balancer):
    """{address: identity} of the pool's endpoints; an identity that is the address is no label."""
    samples = map(dict, balancer.metrics().select("quoit_endpoint_up", pool=SERVICE))
    return {labels["endpoint"]: labels.get("id", labels["endpoint"]) for labels in samples}


def wait_identities(balancer, condition):
    return wait_until(lambda: condition(identities(balancer)), 20,
                      lambda: f"identities: {identities(balancer)}")


def register(consul, origin, shard=None):
    consul.register(SERVICE, origin.name, origin.port, Meta={"shard": shard} if shard else {})


def test_an_instance_at_another_address_has_the_keys_of_its_metadata(balance, consul, origins):
    old = origins(3)
    for i, origin in enumerate(old):
        register(consul, origin, f"shard-{i}")
    balancer = balance(3)
    before = owners(balancer.port, KEYS)
    assert set(identities(balancer).values()) == {"shard-0", "shard-1", "shard-2"}
    [new] = origins(1)
    consul.deregister(old[1].name)
    register(consul, new, "shard-1")
    wait_identities(balancer, lambda ids: ids.get(new.address) == "shard-1")
    after = owners(balancer.port, KEYS)
    changes = moved(before, after)
    assert set(changes) == {key for key in KEYS if before[key] == old[1].name}
    assert {to for _, to in changes.values()} == {new.name}
    assert not balancer.events("identity_fallback")


def test_instances_without_or_with_the_same_metadata_go_by_their_addresses(
        balance, consul, origins):
    [one, two, bare] = origins(3)
    register(consul, one, "shard-1")
    register(consul, two, "shard-2")
    register(consul, bare)
    balancer = balance(3)
    assert identities(balancer) == {
        one.address: "shard-1", two.address: "shard-2", bare.address: bare.address}
    [event] = balancer.events("identity_fallback")
    assert (event["service_id"], event["endpoint"], event["why"]) == (
        bare.name, bare.address, "missing")
    register(consul, two, "shard-1")
    wait_identities(balancer, lambda ids: all(ids[o.address] == o.address for o in (one, two)))
    fallbacks = balancer.events("identity_fallback")[1:]
    assert {(e["service_id"], e["meta"], e["why"]) for e in fallbacks} == {
        (one.name, "shard", "shared"), (two.name, "shard", "shared")}
    assert set(owners(balancer.port, KEYS).values()) == {one.name, two.name, bare.name}
    register(consul, two, "shard-2")
    wait_identities(balancer, lambda ids: ids[one.address] == "shard-1")
    assert len(balancer.events("identity_fallback")) == 3
