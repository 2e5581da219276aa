"""quoit ring and quoit plan: who owns what, the digest that balancers agree on, and forecasts that
come true."""
import json
import math

import pytest

from load import Load, keys, moved, owners
from quoit_process import run_quoit, static_pool
from waiting import wait_until

KEYED = ["hash", "ring", "nginx", "libmemcached", "libmemcached_md5", "libmemcached_weighted",
         "libmemcached_spy", "haproxy", "envoy_maglev", "envoy_ring", "jump"]
OURS = ["hash", "ring"]
KEYS = keys(400)


def run_of(balancer, command, *arguments):
    return run_quoit(command, "--admin", f"127.0.0.1:{balancer.admin_port}", *arguments)


def look(balancer, command, *arguments, status=0):
    """The command's JSON of a running balancer."""
    result = run_of(balancer, command, "--json", *arguments)
    assert result.returncode == status, result.stderr
    return json.loads(result.stdout)


def digest(balancer):
    return look(balancer, "ring")["ring"]["digest"]


def endpoints(servers, weights=None):
    return [{"address": server.address, "weight": weight}
            for server, weight in zip(servers, weights or [1] * len(servers))]


def pool(listed, **more):
    return {"pools": {"images": {"endpoints": listed, "hash_key": "path", **more}}}


def shares(plan, side):
    return {row["id"]: row[side]["share"] for row in plan["endpoints"] if row[side]}


def assert_forecast(plan, before, after):
    """The plan against two balancers, before the change and after it."""
    share = {row["id"]: row["share"] for row in look(after, "ring")["endpoints"]}
    assert shares(plan, "after") == pytest.approx(share, abs=1e-12)
    real = len(moved(owners(before.port, KEYS), owners(after.port, KEYS))) / len(KEYS)
    sigma = math.sqrt(plan["moved"] * (1 - plan["moved"]) / len(KEYS))
    assert real == pytest.approx(plan["moved"], abs=4.5 * sigma + 1e-9)
    assert 0 <= plan["beyond"] == pytest.approx(plan["moved"] - plan["necessary"])


@pytest.mark.parametrize("algorithm", KEYED)
def test_a_forecast_comes_true(quoit, origins, algorithm):
    servers = origins(6)
    before = quoit(pool(endpoints(servers[:5]), algorithm=algorithm))
    added = quoit(pool(endpoints(servers), algorithm=algorithm))
    plan = look(before, "plan", "--add", servers[5].address)
    assert_forecast(plan, before, added)
    removed = quoit(pool(endpoints(servers[:2] + servers[3:5]), algorithm=algorithm))
    plan = look(before, "plan", "--remove", servers[2].address)
    assert_forecast(plan, before, removed)
    assert [row["after"] for row in plan["endpoints"] if row["id"] == servers[2].address] == [None]


@pytest.mark.parametrize("algorithm", OURS)
def test_weights_and_several_changes_come_true(quoit, origins, algorithm):
    servers = origins(5)
    before = quoit(pool(endpoints(servers[:4], [1, 2, 1, 1]), algorithm=algorithm))
    after = quoit(pool(endpoints([servers[0], servers[1], servers[3], servers[4]],
                                 [3, 0, 1, 2.5]), algorithm=algorithm))
    plan = look(before, "plan", "--weight", f"{servers[0].address}=3", "--weight",
                f"{servers[1].address}=0", "--remove", servers[2].address, "--add",
                f"{servers[4].address}=2.5")
    assert_forecast(plan, before, after)


@pytest.mark.parametrize("change", ["add", "remove", "weight"])
def test_a_slot_ring_moves_no_key_beyond_what_must(quoit, origins, change):
    servers = origins(5)
    balancer = quoit(pool(endpoints(servers[:4])))
    value = {"add": servers[4].address, "remove": servers[0].address,
             "weight": f"{servers[0].address}=2"}[change]
    plan = look(balancer, "plan", f"--{change}", value)
    assert plan["is_exact"] and plan["moved"] > 0.1
    assert plan["moved"] == plan["necessary"] and plan["beyond"] == 0


def test_an_endpoint_of_a_consul_service_is_forecast(quoit, consul, origins):
    servers = origins(5)
    for server in servers[:4]:
        consul.register("images", server.name, server.port)
    balancer = quoit({"pools": {"images": {"service": "images", "algorithm": "jump"}},
                      "consul": {"address": consul.url}})
    wait_until(lambda: balancer.usable("images") == 4)
    plan = look(balancer, "plan", "--add", servers[4].address)
    told = json.loads(run_quoit("plan", "--json", "--add", servers[4].address, "--config",
                                balancer.folder / f"{balancer.name}.yaml").stdout)
    assert {**told, "snapshot": 0} == {**plan, "snapshot": 0}
    before = owners(balancer.port, KEYS)
    consul.register("images", servers[4].name, servers[4].port)
    wait_until(lambda: balancer.usable("images") == 5)
    share = {row["id"]: row["share"] for row in look(balancer, "ring")["endpoints"]}
    assert shares(plan, "after") == pytest.approx(share, abs=1e-12)
    real = len(moved(before, owners(balancer.port, KEYS))) / len(KEYS)
    assert real == pytest.approx(plan["moved"], abs=0.11)


def test_traffic_is_weighed_by_hot_keys(quoit, origins):
    servers = origins(3)
    balancer = quoit({"workers": 1, **pool(endpoints(servers), hot_key_share=0)})
    spread = quoit({"workers": 1, **pool(endpoints(servers), hot_key_share=0.5)})
    hot_keys = [key for i in range(100) for key in ("/hot", f"/cold{i}")]
    for one in (balancer, spread):
        with Load(one.port, hot_keys, clients=4, pause=0) as load:
            load.wait_for_requests(3000)
    assert look(balancer, "plan", "--weight", f"{servers[0].address}=1")["hot_keys"] == 0
    home = owners(spread.port, ["/hot"])["/hot"]
    [at] = [server.address for server in servers if server.name == home]
    plan = look(spread, "plan", "--remove", at)
    share = json.loads(spread.admin("/api/v1/hot_keys")[1])["keys"][0]["share"]
    assert plan["hot_keys"] >= 1 and share > 0.1
    assert plan["moved_traffic"] == pytest.approx(
        share + (1 - share) * plan["moved"], abs=0.02)
    load_of = {row["id"]: row["before"]["load"] for row in plan["endpoints"]}
    assert load_of[at] == max(load_of.values()) and sum(load_of.values()) == pytest.approx(1)
    text = run_of(spread, "plan", "--remove", at).stdout
    assert "traffic" in text and "hot keys are known" in text


def test_a_pipeline_stops_at_its_limit(quoit, origins):
    servers = origins(5)
    balancer = quoit(pool(endpoints(servers[:4])))
    change = ("--add", servers[4].address)
    assert not look(balancer, "plan", *change, "--fail-if-moved-over", "25%")["is_over"]
    assert look(balancer, "plan", *change, "--fail-if-moved-over", "15%", status=3)["is_over"]
    result = run_of(balancer, "plan", *change, "--fail-if-moved-over", "15")
    assert result.returncode == 3 and "more than 15 %" in result.stderr
    assert servers[4].address in result.stdout
    assert run_of(balancer, "plan", "--weight", f"{servers[0].address}=1",
                  "--fail-if-moved-over", "0%").returncode == 0


def test_balancers_with_the_same_view_have_the_same_digest(quoit, origins):
    """Whatever the order of their endpoints; another weight, seed or endpoint is another view."""
    servers = origins(4)
    listed = endpoints(servers[:3], [1, 2, 1.5])
    one, two = quoit(pool(listed)), quoit(pool(listed[::-1]))
    assert digest(one) == digest(two) and len(digest(one)) == 32
    others = [quoit(pool(endpoints(servers[:3], [1, 2, 1.6]))), quoit(pool(listed, seed=1)),
              quoit(pool(endpoints(servers, [1, 2, 1.5, 1]))), quoit(pool(listed, slots=1024)),
              quoit(pool(listed, algorithm="ring"))]
    assert len({digest(balancer) for balancer in [one, *others]}) == 6
    page = one.metrics().select("quoit_pool_ring_info", pool="images", digest=digest(one),
                                algorithm="hash", version="1")
    assert list(page.values()) == [1]


def test_the_ring_shows_what_each_owns(quoit, origins):
    servers = origins(3)
    balancer = quoit(pool(endpoints(servers, [1, 1, 2])))
    ring = look(balancer, "ring")
    config = run_quoit("ring", "--json", "--config", balancer.folder / f"{balancer.name}.yaml")
    assert json.loads(config.stdout)["ring"] == ring["ring"]
    page = balancer.metrics()
    for row, server in zip(ring["endpoints"], sorted(servers, key=lambda s: s.address)):
        gauge = page.select("quoit_endpoint_ring_share", endpoint=server.address)
        assert list(gauge.values()) == [pytest.approx(row["share"], rel=1e-6)]
    assert sum(row["share"] for row in ring["endpoints"]) == pytest.approx(1)
    assert 1 <= ring["peak"] < 1.02
    text = run_of(balancer, "ring").stdout
    assert ring["ring"]["digest"] in text
    assert all(server.address in text for server in servers)


@pytest.mark.parametrize("arguments, status, error", [
    ((), 2, "found no change"),
    (("--add", "=1"), 2, "--add found"),
    (("--add", "10.0.0.1:80=many"), 2, "--add found"),
    (("--add", "10.0.0.1:80=-1"), 2, "--add found"),
    (("--add", "10.0.0.1:80=65537"), 2, "--add found"),
    (("--weight", "10.0.0.1:80"), 2, "--weight found"),
    (("--remove", "a", "--fail-if-moved-over", "101%"), 2, "--fail-if-moved-over found"),
    (("--remove", "a", "--fail-if-moved-over", "some"), 2, "--fail-if-moved-over found"),
    (("--remove", "10.0.0.1:80"), 1, "has no endpoint 10.0.0.1:80"),
    (("--weight", "10.0.0.1:80=2"), 1, "has no endpoint 10.0.0.1:80"),
    (("--add", "127.0.0.1:1"), 1, "already has the endpoint 127.0.0.1:1"),
    (("--remove", "127.0.0.1:1", "--remove", "127.0.0.1:1"), 1, "has no endpoint"),
    (("--pool", "turns", "--remove", "127.0.0.1:1"), 1, "has no ring: its algorithm is round_robin"),
    (("--pool", "none", "--remove", "127.0.0.1:1"), 1, "there is no pool none"),
    (("--pool", "", "--remove", "127.0.0.1:1"), 1, "which pool? --pool takes images, turns"),
])
def test_a_plan_that_makes_no_sense_is_refused(quoit, arguments, status, error):
    pools = {"images": static_pool(["127.0.0.1:1", "127.0.0.1:2"]),
             "turns": static_pool(["127.0.0.1:1"], algorithm="round_robin")}
    balancer = quoit({"pools": pools, "routes": [{"path": "/", "pool": "images"}]})
    given = () if "--pool" in arguments else ("--pool", "images")
    result = run_of(balancer, "plan", *given, *arguments)
    assert (result.returncode, result.stdout) == (status, "")
    assert error in result.stderr and result.stderr.count("\n") == 1


def test_removing_the_last_endpoint_moves_everything_to_nobody(quoit):
    plan = look(quoit(pool(["127.0.0.1:1"])), "plan", "--remove", "127.0.0.1:1")
    assert plan["moved"] == plan["necessary"] == plan["moved_traffic"] == 1
