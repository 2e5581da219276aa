"""/metrics agrees with what was sent; /healthz and /readyz with what the program does."""
import signal

import pytest

from http_client import Client, RawClient, get, raw
from load import Load, keys
from quoit_process import static_pool
from waiting import wait_until

CHECK = {"path": "/health", "interval": "100ms", "timeout": "300ms", "rise": 1, "fall": 1}


def total(balancer, name, **labels):
    return balancer.metrics().sum(name, **labels)


def test_requests_are_counted_by_pool_status_and_reason(quoit, origins):
    balancer = quoit({
        "pools": {"web": static_pool(origins(2)), "api": static_pool(origins(1))},
        "routes": [{"path": "/web", "pool": "web"}, {"path": "/api", "pool": "api"}],
    })
    with Client(balancer.port) as client:
        for _ in range(7):
            client.get("/web/a")
        for status in (404, 500, 503):
            client.get(f"/web/a?status={status}")
        client.get("/api/b")
        assert client.get("/nowhere").status == 404
    metrics = wait_until(lambda: (page := balancer.metrics()).sum(
        "quoit_unrouted_requests_total") == 1 and page)
    responses = {code: metrics.sum("quoit_pool_responses_total", pool="web", code=code)
                 for code in ("none", "1xx", "2xx", "3xx", "4xx", "5xx")}
    assert responses == {"none": 0, "1xx": 0, "2xx": 7, "3xx": 0, "4xx": 1, "5xx": 2}
    assert metrics.sum("quoit_pool_requests_total", pool="web") == 10
    assert metrics.sum("quoit_pool_requests_total", pool="web", reason="ok") == 10
    assert metrics.sum("quoit_pool_requests_total", pool="api", reason="ok") == 1
    assert metrics.sum("quoit_unrouted_requests_total", reason="no_route") == 1


def test_endpoints_and_pools_add_up_to_what_clients_and_origins_saw(quoit, origins):
    started = origins(3)
    balancer = quoit({"pools": {"web": static_pool(started)}})
    with Load(balancer.port, keys(50), clients=4) as load:
        load.wait_for_requests(500)
    assert not load.errors
    sent = len(load.records)
    metrics = wait_until(lambda: (page := balancer.metrics()).sum(
        "quoit_pool_requests_total", pool="web") == sent and page)
    for origin in started:
        seen = len(origin.requests)
        assert metrics.sum("quoit_endpoint_attempts_total", endpoint=origin.address) == seen
        assert metrics.sum(
            "quoit_endpoint_responses_total", endpoint=origin.address, code="2xx") == seen
        assert metrics.sum("quoit_endpoint_connects_total", endpoint=origin.address) \
            == origin.accepted
        assert metrics.sum("quoit_endpoint_connection_reuses_total", endpoint=origin.address) \
            == seen - origin.accepted
        assert metrics.sum("quoit_endpoint_request_duration_seconds_count",
                           endpoint=origin.address) == seen
    assert metrics.sum("quoit_pool_request_duration_seconds_count", pool="web") == sent
    assert metrics.sum("quoit_endpoint_requests_in_flight") == 0


def test_the_histogram_is_cumulative_and_holds_slow_requests_in_the_right_bucket(quoit, origins):
    balancer = quoit({"pools": {"web": static_pool(origins(1))}})
    with Client(balancer.port) as client:
        client.get("/quick")
        client.get("/slow?delay=0.3")
    name = "quoit_pool_request_duration_seconds"
    metrics = wait_until(lambda: (page := balancer.metrics()).sum(f"{name}_count") == 2 and page)
    assert metrics.types[name] == "histogram"
    buckets = sorted((float(dict(labels)["le"]), value)
                     for labels, value in metrics.select(f"{name}_bucket").items())
    counts = [value for _, value in buckets]
    assert counts == sorted(counts) and buckets[-1] == (float("inf"), 2)
    assert dict(buckets)[0.25] == 1 and dict(buckets)[0.5] == 2
    assert 0.3 < metrics.sum(f"{name}_sum") < 0.6


def test_connections_and_bytes_are_counted(quoit, origins):
    balancer = quoit({"pools": {"web": static_pool(origins(1))}})
    before = balancer.metrics()
    with Client(balancer.port) as one, Client(balancer.port) as two:
        assert len(one.get("/?bytes=50000").body) == 50000
        assert two.ask("POST", "/", b"x" * 30000).status == 200
        assert total(balancer, "quoit_client_connections_open") == 2
    wait_until(lambda: total(balancer, "quoit_client_connections_open") == 0)
    after = balancer.metrics()

    def grown(name):
        return after.sum(name) - before.sum(name)

    assert grown("quoit_client_connections_total") == 2
    assert grown("quoit_client_connections_closed_total") == 2
    assert 50000 < grown("quoit_client_sent_bytes_total") < 52000
    assert 30000 < grown("quoit_client_received_bytes_total") < 32000
    assert 50000 < grown("quoit_endpoint_received_bytes_total") < 52000
    assert 30000 < grown("quoit_endpoint_sent_bytes_total") < 32000


def test_a_running_request_is_in_flight_until_it_ends(quoit, origins):
    [origin] = origins(1)
    balancer = quoit({"pools": {"web": static_pool([origin])}})
    with Client(balancer.port) as client:
        client.send("GET", "/?delay=1")
        wait_until(lambda: total(balancer, "quoit_endpoint_requests_in_flight") == 1)
        assert client.receive().status == 200
        wait_until(lambda: total(balancer, "quoit_endpoint_requests_in_flight") == 0)


def test_a_client_that_leaves_does_not_leave_a_request_in_flight(quoit, origins):
    balancer = quoit({"pools": {"web": static_pool(origins(1))}})
    with RawClient(balancer.port) as client:
        client.send(b"GET /?delay=5 HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: total(balancer, "quoit_endpoint_requests_in_flight") == 1)
        client.reset()
    wait_until(lambda: total(balancer, "quoit_endpoint_requests_in_flight") == 0, 2)
    assert total(balancer, "quoit_pool_requests_total", reason="client_gone") == 1


def test_a_client_that_ends_its_upload_early_is_no_failure_of_the_endpoint(quoit, origins):
    balancer = quoit({"pools": {"web": static_pool(origins(1))}})
    with RawClient(balancer.port) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf")
        wait_until(lambda: total(balancer, "quoit_endpoint_attempts_total") == 1)
        client.half_close()
        client.read_to_end()
    wait_until(lambda: total(balancer, "quoit_pool_requests_total", reason="client_gone") == 1)
    assert total(balancer, "quoit_endpoint_failures_total") == 0


def test_retries_and_failures_are_counted(quoit, origins):
    good, bad = origins(2)
    bad.raw_behaviour = lambda connection, request: False
    balancer = quoit({"pools": {"web": static_pool([good, bad])}})
    for i in range(30):
        assert get(balancer.port, f"/{i}").status == 200
    tried = len(bad.requests)
    assert 0 < tried < 30
    wait_until(lambda: total(balancer, "quoit_pool_requests_total", reason="ok") == 30)
    metrics = balancer.metrics()
    assert metrics.sum("quoit_pool_retries_total") == tried
    assert metrics.sum("quoit_endpoint_failures_total", endpoint=bad.address) == tried
    assert metrics.sum("quoit_endpoint_failures_total", endpoint=good.address) == 0
    assert metrics.sum("quoit_pool_redispatched_total") == tried


def test_health_is_shown_as_it_changes(quoit, origins):
    first, second = origins(2)
    balancer = quoit({"pools": {"web": static_pool([first, second], health_check=CHECK)}})
    wait_until(lambda: first.health_checks and second.health_checks)
    assert balancer.usable("web") == 2
    first.health_status = 500
    wait_until(lambda: balancer.state("web") == {
        first.address: "probe_down", second.address: "up"})
    assert total(balancer, "quoit_endpoint_up", endpoint=first.address) == 0
    assert balancer.usable("web") == 1
    first.health_status = 200
    wait_until(lambda: balancer.usable("web") == 2)


def test_discovery_is_shown(quoit, origins, consul):
    [origin] = origins(1)
    consul.register("web", origin.name, origin.port)
    balancer = quoit({"pools": {"web": {"service": "web"}}, "consul": {"address": consul.url}})
    wait_until(lambda: balancer.usable("web") == 1)
    metrics = balancer.metrics()
    assert metrics.sum("quoit_discovery_updates_total", pool="web") >= 1
    assert metrics.sum("quoit_discovery_index", pool="web") > 0
    assert 0 <= metrics.sum("quoit_discovery_last_contact_age_seconds", pool="web") < 60
    assert metrics.sum("quoit_pool_snapshot_number", pool="web") >= 1


def test_refused_requests_show_their_reason(quoit, origins):
    balancer = quoit({"pools": {"web": static_pool(origins(1))}})
    raw(balancer.port, b"nonsense\r\n\r\n")
    wait_until(lambda: total(balancer, "quoit_unrouted_requests_total", reason="bad_request") == 1)


# --- the other admin pages ------------------------------------------------------------------------


def test_healthz_and_readyz_say_yes_while_it_serves(quoit, origins):
    balancer = quoit({"pools": {"web": static_pool(origins(1))}})
    assert balancer.admin("/healthz")[0] == 200
    assert balancer.admin("/readyz")[0] == 200
    assert balancer.admin("/nothing")[0] == 404


def test_a_pool_without_a_healthy_endpoint_does_not_take_the_others_with_it(quoit, origins):
    [origin] = origins(1)
    origin.health_status = 500
    balancer = quoit({"pools": {"web": static_pool([origin], health_check=CHECK)}})
    wait_until(lambda: balancer.usable("web") == 0)
    assert get(balancer.port, "/").status == 503
    assert balancer.admin("/readyz")[0] == 200
    origin.health_status = 200
    wait_until(lambda: balancer.usable("web") == 1)
    assert get(balancer.port, "/").status == 200


def test_readyz_says_no_until_consul_has_been_heard(quoit, origins, consul):
    [origin] = origins(1)
    consul.register("web", origin.name, origin.port)
    consul.kill()
    balancer = quoit({"pools": {"web": {"service": "web"}},
                      "consul": {"address": consul.url, "backoff_max": "500ms"}},
                     wait_ready=False)
    wait_until(lambda: balancer.events("serving_unfilled"))
    status, text = balancer.admin("/readyz")
    assert status == 503 and "source" in text
    assert get(balancer.port, "/").status == 503
    consul.start()
    wait_until(lambda: balancer.admin("/readyz")[0] == 200, 20)
    assert get(balancer.port, "/").origin == origin.name


def test_readyz_says_no_while_draining(quoit, origins):
    [origin] = origins(1)
    balancer = quoit({"pools": {"web": static_pool([origin])}})
    with Client(balancer.port) as client:
        client.send("GET", "/?delay=2")
        wait_until(lambda: origin.requests)
        balancer.signal(signal.SIGTERM)
        wait_until(lambda: balancer.admin("/readyz")[0] == 503, 1.5)
        assert "drain" in balancer.admin("/readyz")[1]
        assert client.receive().status == 200


@pytest.mark.parametrize("data, status", [
    (b"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", b"405"),
    (b"HEAD /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"200"),
    (b"nonsense\r\n\r\n", b"400"),
    (b"GET /" + b"a" * 40000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", b"4"),
])
def test_the_admin_listener_speaks_http(quoit, origins, data, status):
    balancer = quoit({"pools": {"web": static_pool(origins(1))}})
    answer = raw(balancer.admin_port, data)
    assert answer.startswith(b"HTTP/1.1 " + status), answer[:100]
    if data.startswith(b"HEAD"):
        assert answer.endswith(b"\r\n\r\n")
