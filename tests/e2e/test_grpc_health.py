"""Health checks of type grpc, against a real gRPC server."""
import pytest

from certificates import Authority
from grpc_server import NOT_SERVING, SERVING, GrpcServer, Health
from quoit_process import static_pool
from waiting import wait_until


@pytest.fixture
def serve():
    """serve(health, …) starts a server; all are closed in the end."""
    started = []

    def start(*services, **more):
        started.append(GrpcServer(*services, **more))
        return started[-1]

    yield start
    for server in started:
        server.close().wait(10)


def balancer_for(quoit, server, tls=None, initial="up", **check):
    pool = static_pool([server], health_check={
        "type": "grpc", "interval": "100ms", "timeout": "5s", "rise": 1, "fall": 1,
        "initial": initial, **check}, **({"tls": tls} if tls else {}))
    return quoit({"workers": 1, "pools": {"web": pool}}, wait_ready=False)


def wait_for_up(balancer):
    """Until a probe has said so."""
    wait_until(lambda: "SERVING" in probes(balancer) and balancer.usable("web") == 1)


def probes(balancer):
    """What probes have found, in order, as far as it was told."""
    return [event["detail"] for event in balancer.events() if "detail" in event]


def test_an_endpoint_serves_while_its_health_service_says_so(quoit, serve):
    health = Health()
    balancer = balancer_for(quoit, serve(health.handler), initial="down")
    wait_for_up(balancer)
    health.statuses[""] = NOT_SERVING
    wait_until(lambda: balancer.usable("web") == 0)
    assert "NOT_SERVING" in probes(balancer)
    health.statuses[""] = SERVING
    wait_until(lambda: balancer.usable("web") == 1)


def test_a_check_names_its_service_and_says_how_long_it_waits(quoit, serve):
    health = Health(**{"shop.v1.Cart": SERVING, "": NOT_SERVING})
    balancer = balancer_for(quoit, serve(health.handler), grpc_service="shop.v1.Cart",
                            host="cart.example", timeout="7s", initial="down")
    wait_for_up(balancer)
    service, metadata, left = health.asked[0]
    assert service == "shop.v1.Cart" and 0 < left <= 7
    assert metadata["user-agent"] == "quoit-health"


def test_a_service_that_is_not_known_is_down(quoit, serve):
    balancer = balancer_for(quoit, serve(Health().handler), grpc_service="other")
    wait_until(lambda: "grpc-status 5, the server does not know the service" in probes(balancer))
    assert balancer.usable("web") == 0


def test_a_server_without_a_health_service_is_told_apart(quoit, serve):
    balancer = balancer_for(quoit, serve())
    wait_until(lambda: "grpc-status 12, the server has no health service" in probes(balancer))
    assert balancer.usable("web") == 0


def test_an_endpoint_without_http2_is_down(quoit, origins):
    [origin] = origins(1)
    balancer = balancer_for(quoit, origin)
    wait_until(lambda: probes(balancer))
    assert balancer.usable("web") == 0


def test_over_tls_the_certificate_counts_as_for_requests(quoit, serve, tmp_path):
    authority = Authority(tmp_path)
    server = serve(Health().handler, pair=authority.issue("origin.test", "DNS:origin.test"))
    tls = {"ca_file": str(authority.cert), "server_name": "origin.test"}
    good = balancer_for(quoit, server, tls, initial="down")
    wait_for_up(good)
    bad = balancer_for(quoit, server, {**tls, "server_name": "other.test"})
    wait_until(lambda: probes(bad))
    assert bad.usable("web") == 0


def test_a_server_that_keeps_silent_is_down_after_the_timeout(quoit, scripted):
    _, origin = scripted(lambda connection: connection.read_to_end(), health_check={
        "type": "grpc", "interval": "100ms", "timeout": "300ms", "rise": 1, "fall": 1})
    wait_until(lambda: "timeout" in probes(origin.balancer))
    wait_until(lambda: origin.balancer.usable("web") == 0)
