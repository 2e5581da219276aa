"""Load against affinity: bounded load, hot keys, and strict affinity, which knows neither."""
import collections
import contextlib
import math
import threading

import pytest

from http_client import Client
from load import Load
from origins import Response
from quoit_process import run_quoit, static_pool
from waiting import wait_until

ENDPOINTS = 4


class Gate:
    """Origins whose answers wait until it opens."""

    def __init__(self, origins):
        self.open = threading.Event()
        for origin in origins:
            origin.behaviour = self._answer

    def _answer(self, request):
        if request.target.startswith("/slow"):
            assert self.open.wait(30)
        return None


def held_requests(balancer, origins, stack, n, target):
    """Sends n requests, each once the one before has come to its origin: the clients, and how many
    came to each origin."""
    before = [len(origin.requests) for origin in origins]
    clients = []
    for i in range(n):
        clients.append(stack.enter_context(Client(balancer.port)))
        clients[i].send("GET", target)
        wait_until(lambda arrived=sum(before) + i + 1:
                   sum(len(origin.requests) for origin in origins) == arrived, interval=0.002)
    return clients, [len(origin.requests) - n for origin, n in zip(origins, before)]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_plain_factor_bounds_every_endpoint(quoit, origins, workers):
    """HAProxy's rule: at no time has an endpoint more than the factor of its fair share."""
    servers = origins(ENDPOINTS)
    gate = Gate(servers)
    balancer = quoit({"workers": workers, "pools": {"web": static_pool(
        servers, balance_factor=1.25, balance_slack=0, hot_key_share=0)}})
    with contextlib.ExitStack() as stack:
        clients, counts = held_requests(balancer, servers, stack, 40, "/slow")
        assert max(counts) <= math.ceil(1.25 * 40 / ENDPOINTS)
        assert min(counts) > 0
        gate.open.set()
        assert all(client.receive().status == 200 for client in clients)
    metrics = balancer.metrics()
    assert metrics.sum("quoit_pool_overflowed_total", pool="web") >= 40 - max(counts)
    assert metrics.sum("quoit_endpoint_requests_in_flight") == 0


def test_overflow_goes_back_home_when_the_endpoint_has_room(quoit, origins):
    servers = origins(ENDPOINTS)
    gate = Gate(servers)
    balancer = quoit({"pools": {"web": static_pool(
        servers, hash_key="query:k", balance_factor=1.25, balance_slack=0, hot_key_share=0)}})
    with contextlib.ExitStack() as stack:
        asking = stack.enter_context(Client(balancer.port))
        home = asking.get("/quick?k=1").origin
        clients, _ = held_requests(balancer, servers, stack, 11, "/slow?k=1")
        overflow = {asking.get("/quick?k=1").origin for _ in range(5)}
        assert len(overflow) == 1 and home not in overflow
        gate.open.set()
        assert all(client.receive().status == 200 for client in clients)
        assert {asking.get("/quick?k=1").origin for _ in range(5)} == {home}


def test_few_requests_in_flight_stay_at_home(quoit, origins):
    """By default chance has its slack: four at once on one of four endpoints is no overload."""
    servers = origins(ENDPOINTS)
    gate = Gate(servers)
    balancer = quoit({"pools": {"web": static_pool(servers)}})
    with contextlib.ExitStack() as stack:
        clients, counts = held_requests(balancer, servers, stack, 4, "/slow")
        assert sorted(counts) == [0, 0, 0, 4]
        gate.open.set()
        assert all(client.receive().status == 200 for client in clients)


@pytest.mark.parametrize("pool", [{"affinity": "strict"}, {"algorithm": "nginx"},
                                  {"algorithm": "haproxy"}, {"balance_factor": 0}])
def test_without_a_bound_a_key_stays_whatever_its_endpoint_has_to_do(quoit, origins, pool):
    servers = origins(ENDPOINTS)
    gate = Gate(servers)
    balancer = quoit({"pools": {"web": static_pool(servers, **pool)}})
    with contextlib.ExitStack() as stack:
        clients, counts = held_requests(balancer, servers, stack, 40, "/slow")
        assert sorted(counts) == [0, 0, 0, 40]
        gate.open.set()
        assert all(client.receive().status == 200 for client in clients)


def ask_hot_and_cold(balancer, servers):
    """A third of the requests for /hot, the others for 200 cold keys. {key: the origins it met}"""
    for server in servers:
        server.behaviour = lambda request: Response(delay=0.02, body=request.path.encode())
    keys = [key for i in range(200) for key in (["/hot", f"/cold{i}"] if i % 2 else [f"/cold{i}"])]
    with Load(balancer.port, keys, clients=48, pause=0) as load:
        load.wait_for_requests(6000)
    met = collections.defaultdict(collections.Counter)
    for server in servers:
        for request in server.requests:
            met[request.path][server.name] += 1
    return met


def test_a_hot_key_is_served_by_several_and_cold_ones_stay(quoit, origins):
    servers = origins(3)
    balancer = quoit({"pools": {"web": static_pool(servers, balance_factor=0)}})
    met = ask_hot_and_cold(balancer, servers)
    assert len(met.pop("/hot")) == 3
    assert all(len(served) == 1 for served in met.values())
    assert balancer.metrics().sum("quoit_pool_hot_spread_total", pool="web") > 0


def test_strict_affinity_never_spreads_a_key(quoit, origins):
    servers = origins(3)
    balancer = quoit({"pools": {"web": static_pool(servers, affinity="strict")}})
    met = ask_hot_and_cold(balancer, servers)
    assert all(len(served) == 1 for served in met.values())
    assert balancer.metrics().sum("quoit_pool_hot_spread_total", pool="web") == 0


def test_a_factor_between_nothing_and_one_is_a_mistake(quoit, tmp_path):
    path = tmp_path / "quoit.yaml"
    path.write_text("listeners: 127.0.0.1:8080\n"
                    "pools:\n"
                    "  web:\n"
                    "    endpoints: [127.0.0.1:1]\n"
                    "    balance_factor: 0.5\n")
    result = run_quoit("check", "--config", path)
    assert result.returncode != 0
    assert "5:21: pools.web.balance_factor: found 0.5, expected 0 or at least 1" in result.stderr
