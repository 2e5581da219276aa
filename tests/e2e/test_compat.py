"""Keys recorded from other programs meet, through the whole program, the server they met there."""
import csv
import pathlib

import pytest

from http_client import Client

VECTORS = pathlib.Path(__file__).resolve().parents[1] / "vectors/compat"
PORTS = [f"127.0.0.1:{port}" for port in range(18081, 18086)]
WEIGHTS = [1, 2, 3, 5, 10]
MIXED = ["unix:/run/a.sock", "unix:/run/b.sock", "[::1]:18083", "127.0.0.2", "127.0.0.1:18081"]
EVERY = 5  # of the recorded rows; the unit tests take all

# file, scenario, column of the server, the pool's options, the servers as they are called, weights
CASES = [
    ("nginx_ketama", "weighted5", "backend", {"algorithm": "nginx"}, PORTS, WEIGHTS),
    ("nginx_more", "mixed", "backend", {"algorithm": "nginx"}, MIXED, [1, 1, 1, 1, 2]),
    ("libmemcached_more", "ketama_md5_ports", "server", {"algorithm": "libmemcached_md5"}, PORTS,
     None),
    ("libmemcached_ketama", "ketama_spy_w5", "server", {"algorithm": "libmemcached_spy"}, PORTS,
     WEIGHTS),
    ("haproxy_chash", "default5", "server", {"algorithm": "haproxy"}, PORTS, None),
    ("haproxy_more", "wt6_5", "server",
     {"algorithm": "haproxy", "haproxy_hash": "wt6", "haproxy_avalanche": False}, PORTS, None),
    ("maglev_envoy", "weighted5", "backend", {"algorithm": "envoy_maglev"}, PORTS, WEIGHTS),
    ("ringhash_envoy", "weighted5", "backend", {"algorithm": "envoy_ring"}, PORTS, WEIGHTS),
]


def rows_of(name, scenario, column):
    with open(VECTORS / f"{name}.tsv", encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        found = [(row["key"], row[column]) for row in rows if row["scenario"] == scenario]
    assert len(found) >= 250
    return found[::EVERY]


def check(quoit, servers, endpoints, options, expected, rows):
    """expected: what the recorded program calls each of the servers."""
    pool = {"endpoints": endpoints, "hash_key": "header:x-key", "hash_key_fallback": "none",
            **options}
    balancer = quoit({"pools": {"images": pool}})
    called = dict(zip((server.name for server in servers), expected))
    with Client(balancer.port) as client:
        for key, server in rows:
            answer = client.get("/", x_key=key.encode().decode("latin-1"))
            assert called[answer.origin] == server, key


@pytest.mark.parametrize("name, scenario, column, options, ids, weights", CASES,
                         ids=[f"{case[0]}-{case[1]}" for case in CASES])
def test_requests_go_where_the_program_sent_them(quoit, origins, name, scenario, column, options,
                                                 ids, weights):
    servers = origins(len(ids))
    endpoints = [{"address": server.address, "id": id_, "weight": weight}
                 for server, id_, weight in zip(servers, ids, weights or [1] * len(ids))]
    check(quoit, servers, endpoints, options, ids, rows_of(name, scenario, column))


def test_servers_are_numbered_as_the_configuration_lists_them(quoit, origins):
    """By the list, whatever order their names have."""
    servers = origins(5)
    endpoints = [{"address": server.address, "id": name}
                 for server, name in zip(servers, ["m", "z", "b", "a", "k"])]
    check(quoit, servers, endpoints, {"algorithm": "haproxy"}, PORTS,
          rows_of("haproxy_chash", "default5", "server"))
