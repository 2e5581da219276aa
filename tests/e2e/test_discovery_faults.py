"""What a sick, lying or silent Consul does to the traffic: nothing."""
import ssl
import subprocess
import time

import pytest

import fake_consul
from fake_consul import FakeConsul, instance
from http_client import get
from load import Load, keys, owners
from waiting import wait_until

SERVICE = "images"
KEYS = keys(60)
HOLD_MS = 1000


@pytest.fixture
def agents():
    """agents(n) starts n fake agents."""
    started = []

    def start(n=1):
        new = [FakeConsul() for _ in range(n)]
        started.extend(new)
        return new

    yield start
    for agent in started:
        agent.stop()


@pytest.fixture
def agent(agents):
    [agent] = agents()
    return agent


@pytest.fixture
def balance(quoit):
    """balance(*agents, consul options) starts a balancer over them."""
    def start(*agents, wait_ready=True, **consul):
        return quoit({
            "pools": {SERVICE: {"service": SERVICE}},
            "consul": {"address": [agent.url for agent in agents], "hold": f"{HOLD_MS}ms",
                       "backoff_min": "50ms", "backoff_max": "200ms", **consul},
        }, wait_ready)

    return start


def entries(origins):
    return [instance(origin.name, origin.port) for origin in origins]


def names(origins):
    return {origin.name for origin in origins}


def count(balancer, metric):
    return balancer.metrics().sum(f"quoit_discovery_{metric}_total", pool=SERVICE)


def wait_for_more(balancer, metric, n, timeout=20):
    """Until n more of a discovery metric are counted."""
    goal = count(balancer, metric) + n
    wait_until(lambda: count(balancer, metric) >= goal, timeout, f"{metric} to reach {goal}")


def wait_usable(balancer, n, timeout=20):
    wait_until(lambda: balancer.usable(SERVICE) == n, timeout,
               lambda: f"{n} usable endpoints: {balancer.state(SERVICE)}\n{balancer.log()[-2000:]}")


def assert_nothing_lost(load):
    assert not load.errors, f"{len(load.errors)} of {len(load.records)} lost: {load.errors[:5]}"


# Each stays until it is taken away.
ERRORS = {
    "400": fake_consul.status(400, "Invalid filter"),
    "403": fake_consul.status(403, "Permission denied"),
    "404": fake_consul.status(404, "404 page not found"),
    "429": fake_consul.status(429, "Your IP is issuing too many concurrent connections"),
    "500": fake_consul.status(500, "No cluster leader"),
    "503": fake_consul.status(503, "retry later"),
    "redirect": fake_consul.status(307),
    "truncated JSON": fake_consul.truncated,
    "cut body": fake_consul.cut,
    "closed connection": fake_consul.close,
    "null": fake_consul.body(b"null"),
    "no body": fake_consul.body(b""),
    "an object": fake_consul.body(b"{}"),
    "HTML": fake_consul.body(b"<html><body>It works!</body></html>"),
    "deep nesting": fake_consul.body(b"[" * 100000),
}


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_changes_nothing_and_what_came_meanwhile_is_caught_up(
        agent, balance, origins, error):
    first, new = origins(2), origins(1)
    agent.set(SERVICE, entries(first))
    balancer = balance(agent)
    wait_usable(balancer, 2)
    before = owners(balancer.port, KEYS)
    agent.fault = ERRORS[error]
    wait_for_more(balancer, "errors", 2)
    agent.set(SERVICE, entries(first[:1] + new))
    wait_for_more(balancer, "errors", 2)
    assert balancer.usable(SERVICE) == 2
    assert owners(balancer.port, KEYS) == before
    assert balancer.admin("/readyz")[0] == 200
    agent.fault = None
    wait_until(lambda: set(owners(balancer.port, KEYS).values()) == names(first[:1] + new), 10)


@pytest.mark.parametrize("fault", [fake_consul.hang, fake_consul.slow_loris])
def test_a_silent_agent_is_given_up_at_the_deadline(agent, balance, origins, fault):
    [origin] = origins(1)
    agent.set(SERVICE, entries([origin]))
    balancer = balance(agent, wait="1s", connect_timeout="200ms")
    wait_usable(balancer, 1)
    agent.fail_next(fault)
    wait_for_more(balancer, "errors", 1, 20)
    assert balancer.usable(SERVICE) == 1
    [failure] = balancer.events("discovery_failed")
    assert "timed out" in failure["error"]
    agent.set(SERVICE, entries([origin, *origins(1)]))
    wait_usable(balancer, 2)


def test_an_agent_that_is_gone_and_comes_back_is_followed_again(agent, balance, origins):
    first = origins(2)
    agent.set(SERVICE, entries(first))
    balancer = balance(agent)
    with Load(balancer.port, KEYS) as load:
        agent.stop()
        wait_for_more(balancer, "errors", 3)
        load.wait_for_requests(len(KEYS))
        agent.set(SERVICE, entries(first + origins(1)), index=3)  # it forgot its index, too
        agent.start()
        wait_usable(balancer, 3)
        load.wait_for_requests(len(KEYS))
    assert_nothing_lost(load)
    assert balancer.events("discovery_recovered")


@pytest.mark.parametrize("index", [1, 0, -5, "x", "18446744073709551616", None])
def test_an_index_that_goes_backwards_or_makes_no_sense_is_survived(
        agent, balance, origins, index):
    first = origins(1)
    agent.set(SERVICE, entries(first), index=1000)
    balancer = balance(agent)
    wait_usable(balancer, 1)
    if index == 1:
        agent.set(SERVICE, entries(first), index=1)
    else:
        agent.fault = fake_consul.fields(X_Consul_Index=None if index is None else str(index))
    wait_until(lambda: sum(q.index == 0 for q in agent.questions) >= 2, 10, "a start from scratch")
    agent.set(SERVICE, entries(first + origins(1)), index=2)
    wait_usable(balancer, 2)
    assert count(balancer, "errors") == 0
    # Nor does it spin.
    recent = [q for q in agent.questions if q.at > time.monotonic() - 1]
    assert len(recent) < 20


def test_an_empty_service_keeps_its_endpoints_for_the_hold_time(agent, balance, origins):
    [origin] = origins(1)
    agent.set(SERVICE, entries([origin]))
    balancer = balance(agent)
    wait_usable(balancer, 1)
    agent.set(SERVICE, [])
    begun = time.monotonic()
    wait_for_more(balancer, "held", 2)
    if time.monotonic() - begun < HOLD_MS / 2000:
        assert get(balancer.port, "/").origin == origin.name
    wait_until(lambda: get(balancer.port, "/").status == 503, 10, "the pool to empty")
    assert time.monotonic() - begun >= HOLD_MS / 1000 - 0.1
    agent.set(SERVICE, entries([origin]))
    wait_until(lambda: get(balancer.port, "/").origin == origin.name, 10, "the pool to fill")


def test_a_service_that_is_empty_for_a_moment_loses_nothing(agent, balance, origins):
    first = origins(2)
    agent.set(SERVICE, entries(first))
    balancer = balance(agent, hold="5s")
    wait_usable(balancer, 2)
    with Load(balancer.port, KEYS) as load:
        agent.set(SERVICE, [])
        wait_for_more(balancer, "held", 2)
        agent.set(SERVICE, entries(first + origins(1)))
        wait_usable(balancer, 3)
    assert_nothing_lost(load)


NOT_BELIEVED = {
    "filtered by ACLs": fake_consul.fields(X_Consul_Results_Filtered_By_ACLs="true"),
    "denied by default": fake_consul.fields(X_Consul_Default_ACL_Policy="deny"),
    "without a leader": fake_consul.fields(X_Consul_KnownLeader="false"),
    "long out of touch": fake_consul.fields(X_Consul_LastContact="3600000",
                                            X_Consul_KnownLeader="false"),
}


@pytest.mark.parametrize("reason", NOT_BELIEVED)
def test_emptiness_that_proves_nothing_never_empties_a_pool(agent, balance, origins, reason):
    first = origins(2)
    agent.set(SERVICE, entries(first))
    balancer = balance(agent, hold="100ms")
    wait_usable(balancer, 2)
    agent.fault = NOT_BELIEVED[reason]
    agent.set(SERVICE, [])
    wait_for_more(balancer, "held", 20)  # many times the hold
    assert balancer.usable(SERVICE) == 2
    assert set(owners(balancer.port, KEYS).values()) == names(first)
    agent.fault = None
    agent.set(SERVICE, entries(first[:1]))
    wait_usable(balancer, 1)


def test_what_acls_hide_is_not_removed(agent, balance, origins):
    first = origins(3)
    agent.set(SERVICE, entries(first))
    balancer = balance(agent, hold="100ms")
    wait_usable(balancer, 3)
    agent.fault = NOT_BELIEVED["filtered by ACLs"]
    agent.set(SERVICE, entries(first[:1]))
    wait_for_more(balancer, "held", 20)
    assert balancer.usable(SERVICE) == 3


def test_a_stale_answer_is_checked_with_the_leader(agent, balance, origins):
    first = origins(2)
    agent.set(SERVICE, entries(first))
    balancer = balance(agent, max_stale="5s")
    wait_usable(balancer, 2)
    assert all("stale" in question.arguments for question in agent.questions)
    agent.fail_next(fake_consul.both(fake_consul.fields(X_Consul_LastContact="5001"),
                                     fake_consul.body(b"[]")))
    wait_until(lambda: agent.questions[-1].index > 0 and
               any("stale" not in question.arguments for question in agent.questions), 10,
               "a consistent query, and blocking ones again")
    assert "stale" in agent.questions[-1].arguments
    assert balancer.usable(SERVICE) == 2
    assert count(balancer, "held") == 0


def test_without_its_first_agent_the_second_is_asked(agents, balance, origins):
    first = origins(2)
    one, two = agents(2)
    one.set(SERVICE, entries(first), index=5000)
    two.set(SERVICE, entries(first), index=20)
    balancer = balance(one, two)
    wait_usable(balancer, 2)
    assert not two.questions
    with Load(balancer.port, KEYS) as load:
        one.stop()
        wait_until(lambda: two.questions, 10, "a query to the second agent")
        assert two.questions[0].index == 0
        two.set(SERVICE, entries(first + origins(1)))
        wait_usable(balancer, 3)
    assert_nothing_lost(load)


def test_a_busy_agent_is_left_for_the_next_at_once(agents, balance, origins):
    first = origins(1)
    one, two = agents(2)
    one.fault = ERRORS["429"]
    two.set(SERVICE, entries(first))
    balancer = balance(one, two, backoff_min="30s", backoff_max="30s")
    wait_usable(balancer, 1, 10)


def test_a_start_without_consul_waits_for_it(agent, balance, origins):
    agent.stop()
    balancer = balance(agent, wait_ready=False)
    wait_until(lambda: balancer.admin("/healthz")[0] == 200, 20, "the admin listener")
    wait_for_more(balancer, "errors", 2)
    assert balancer.admin("/readyz")[0] == 503
    agent.set(SERVICE, entries(origins(1)))
    agent.start()
    wait_until(lambda: balancer.admin("/readyz")[0] == 200, 20, "ready")
    wait_usable(balancer, 1)


def test_a_change_is_followed_within_milliseconds(agent, balance, origins):
    first = origins(1)
    agent.set(SERVICE, entries(first))
    balancer = balance(agent)
    wait_usable(balancer, 1)
    new = origins(1)
    begun = time.monotonic()
    agent.set(SERVICE, entries(new))
    wait_until(lambda: get(balancer.port, "/").origin == new[0].name, 5, "the new origin", 0.001)
    assert time.monotonic() - begun < 0.5


def test_churn_costs_consul_few_queries_and_ends_in_the_last_state(agent, balance, origins):
    first = origins(3)
    agent.set(SERVICE, entries(first))
    balancer = balance(agent)
    wait_usable(balancer, 3)
    already = len(agent.questions)
    with Load(balancer.port, KEYS) as load:
        for i in range(2000):
            agent.set(SERVICE, entries(first[:1 + i % 3]))
        agent.set(SERVICE, entries(first[:2]))
        wait_until(lambda: set(owners(balancer.port, KEYS).values()) == names(first[:2]), 10)
    assert_nothing_lost(load)
    assert len(agent.questions) - already < 20


def test_most_of_a_service_may_vanish_without_a_lost_request(agent, balance, origins):
    first = origins(10)
    agent.set(SERVICE, entries(first))
    balancer = balance(agent)
    wait_usable(balancer, 10)
    with Load(balancer.port, KEYS) as load:
        agent.set(SERVICE, entries(first[:1]))
        wait_usable(balancer, 1)
        load.wait_for_requests(len(KEYS))
        agent.set(SERVICE, entries(first))
        wait_usable(balancer, 10)
    assert_nothing_lost(load)


def test_one_spoilt_instance_does_not_freeze_the_others(agent, balance, origins):
    first = origins(2)
    spoilt = [
        None, 17, {}, instance("no-port", 0), instance("bad-port", 99999),
        instance("bad-address", 80, address="not an address"),
        instance("bad-weight", 80, Weights={"Passing": "heavy"}),
        instance("twin", first[0].port, node="other"),
    ]
    agent.set(SERVICE, entries(first[:1]))
    balancer = balance(agent)
    wait_usable(balancer, 1)
    agent.set(SERVICE, spoilt + entries(first))
    wait_usable(balancer, 2)
    [event] = wait_until(lambda: balancer.events("instances_rejected"))
    assert event["count"] == len(spoilt)


def test_the_token_goes_in_its_header_and_nowhere_else(agent, balance, origins):
    secret = "5ec7e7-5ec7e7-5ec7e7"
    agent.set(SERVICE, entries(origins(1)))
    balancer = balance(agent, token=secret)
    wait_usable(balancer, 1)
    agent.fail_next(fake_consul.status(403, "ACL not found"))
    wait_until(lambda: count(balancer, "errors") == 1, 10, "the refusal")
    for question in agent.questions:
        assert question.fields["x-consul-token"] == secret
        assert secret not in question.target
    assert secret not in balancer.log()
    assert secret not in balancer.metrics().text


def test_a_rotated_token_file_is_picked_up(agent, balance, origins, tmp_path):
    path = tmp_path / "token"
    path.write_text("old\n")
    agent.set(SERVICE, entries(origins(1)))
    balancer = balance(agent, token_file=str(path))
    wait_usable(balancer, 1)
    agent.fault = ERRORS["403"]
    wait_for_more(balancer, "errors", 2)
    path.write_text("new\n")
    wait_until(lambda: agent.questions[-1].fields["x-consul-token"] == "new", 10, "the new token")


def test_many_pools_share_few_connections(agent, quoit, origins):
    n = 150
    [origin] = origins(1)
    for i in range(n):
        agent.set(f"service-{i}", entries([origin]))
    balancer = quoit({
        "pools": {f"pool-{i}": {"service": f"service-{i}"} for i in range(n)},
        "routes": [{"path": f"/{i}", "pool": f"pool-{i}"} for i in range(n)],
        "consul": {"address": agent.url},
    })
    wait_until(lambda: balancer.usable("pool-149") == 1, 20)
    for i in range(n):
        assert get(balancer.port, f"/{i}").origin == origin.name
    assert agent.n_connections <= 100
    agent.set("service-77", [*entries([origin]), instance("more", 9)])
    wait_until(lambda: balancer.usable("pool-77") == 2, 20, "a change seen by one of many watches")


def test_an_agent_may_have_a_name(agent, origins, quoit):
    [origin] = origins(1)
    agent.set(SERVICE, entries([origin]))
    balancer = quoit({"pools": {SERVICE: {"service": SERVICE}},
                      "consul": {"address": f"http://localhost:{agent.port}"}})
    assert get(balancer.port, "/").origin == origin.name


# --- TLS ----------------------------------------------------------------------------------------


def make_certificate(folder, name):
    """A certificate for 127.0.0.1 that is its own authority: (certificate, key) files."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "1", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    return str(certificate), str(key)


@pytest.fixture
def tls_agent(tmp_path):
    """An agent on HTTPS that asks for a certificate of ours: (agent, its files, our files)"""
    its, ours = make_certificate(tmp_path, "agent"), make_certificate(tmp_path, "balancer")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*its)
    context.load_verify_locations(ours[0])
    context.verify_mode = ssl.CERT_REQUIRED
    agent = FakeConsul(context)
    yield agent, its, ours
    agent.stop()


def test_an_agent_is_asked_over_tls_with_our_certificate(tls_agent, balance, origins):
    agent, its, ours = tls_agent
    agent.set(SERVICE, entries(origins(1)))
    balancer = balance(agent, ca_file=its[0], cert_file=ours[0], key_file=ours[1])
    wait_usable(balancer, 1)
    agent.set(SERVICE, entries(origins(2)))
    wait_usable(balancer, 2)


def test_an_agent_that_cannot_prove_who_it_is_is_not_believed(tls_agent, balance, origins):
    agent, _, ours = tls_agent
    agent.set(SERVICE, entries(origins(1)))
    balancer = balance(agent, wait_ready=False, cert_file=ours[0], key_file=ours[1],
                       ca_file=ours[0])
    wait_until(lambda: balancer.events("serving_unfilled"), 20)
    assert "certificate" in balancer.events("discovery_failed")[0]["error"]
    assert not agent.questions
