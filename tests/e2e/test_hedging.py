"""`retry.hedge`: a second attempt beside one that is silent; the first answer counts."""
import socket
import threading

import pytest

from http_client import RawClient
from scripted import reply
from waiting import wait_until

GET = b"GET /a HTTP/1.1\r\nHost: a.example\r\n\r\n"


class Doors:
    """A script whose n-th connection answers n once its door is open, or with what was put there."""

    def __init__(self, n):
        self.events = [threading.Event() for _ in range(n)]
        self.answers = [reply(b"%d" % i) for i in range(n)]

    def __call__(self, connection):
        while True:
            connection.read_head()
            assert self.events[connection.number].wait(20)
            if self.answers[connection.number] is None:
                return
            connection.send(self.answers[connection.number])

    def open(self, *numbers):
        for i in numbers:
            self.events[i].set()


def hedged(scripted, doors, n_endpoints=2, hedge="100ms", **options):
    retry = {"hedge": hedge, **options.pop("retry", {})}
    return scripted(doors, n_endpoints=n_endpoints, retry=retry, **options)


def wait_requests(origin, n, what=b"GET /a "):
    wait_until(lambda: origin.received.count(what) == n, 5, f"{n} times {what}")


def is_closed(sock):
    try:
        return sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def wait_closed(origin, number):
    """By the balancer; its script stands at its door and does not read."""
    sock = origin.connections[number].sock
    wait_until(lambda: is_closed(sock), 5, f"the end of connection {number}")


def body_of(client, n=1):
    assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    return client.read_exactly(n)


def check_metrics(balancer, **expected):
    wait_until(lambda: balancer.metrics().sum("quoit_pool_requests_total", reason="ok") == 1, 5)
    metrics = balancer.metrics()
    found = {name: metrics.sum(f"quoit_{name}") for name in expected}
    assert found == expected
    assert metrics.sum("quoit_endpoint_requests_in_flight") == 0


def test_the_second_attempt_serves_when_it_answers_first(scripted):
    doors = Doors(2)
    port, origin = hedged(scripted, doors)
    with RawClient(port) as client:
        client.send(GET)
        wait_requests(origin, 2)
        doors.open(1)
        assert body_of(client) == b"1"
        wait_closed(origin, 0)
    check_metrics(origin.balancer, pool_hedges_total=1, pool_hedges_won_total=1,
                  endpoint_failures_total=0)
    [line] = origin.balancer.wait_access(1)
    assert (line["attempts"], line["reason"]) == (2, "ok")
    doors.open(0)


def test_the_first_attempt_serves_when_it_answers_first(scripted):
    doors = Doors(2)
    port, origin = hedged(scripted, doors)
    with RawClient(port) as client:
        client.send(GET)
        wait_requests(origin, 2)
        doors.open(0)
        assert body_of(client) == b"0"
        wait_closed(origin, 1)
        client.send(GET)  # its connection is as good as any
        assert body_of(client) == b"0"
    doors.open(1)
    metrics = origin.balancer.metrics()
    assert metrics.sum("quoit_pool_hedges_won_total") == 0
    assert metrics.sum("quoit_endpoint_failures_total") == 0


@pytest.mark.parametrize("answer, options", [
    (None, {}), (b"nonsense\r\n\r\n", {}),
    (reply(line=b"HTTP/1.1 503 Service Unavailable"), {"retry": {"on": ["failure", "503"]}})])
def test_the_first_attempt_goes_on_when_the_second_fails(scripted, answer, options):
    doors = Doors(2)
    doors.answers[1] = answer
    port, origin = hedged(scripted, doors, **options)
    with RawClient(port) as client:
        client.send(GET)
        wait_requests(origin, 2)
        doors.open(1)
        wait_until(lambda: origin.balancer.metrics().sum(
            "quoit_endpoint_requests_in_flight") == 1, 5, "the second attempt's end")
        doors.open(0)
        assert body_of(client) == b"0"
    check_metrics(origin.balancer, pool_hedges_total=1, pool_hedges_won_total=0)


def test_the_second_attempt_goes_on_when_the_first_fails(scripted):
    doors = Doors(2)
    doors.answers[0] = None
    port, origin = hedged(scripted, doors)
    with RawClient(port) as client:
        client.send(GET)
        wait_requests(origin, 2)
        doors.open(0)
        wait_until(lambda: origin.balancer.metrics().sum(
            "quoit_endpoint_failures_total") == 1, 5, "the first attempt's end")
        doors.open(1)
        assert body_of(client) == b"1"
    check_metrics(origin.balancer, pool_hedges_total=1, endpoint_failures_total=1)


def test_another_attempt_follows_when_both_have_failed(scripted):
    doors = Doors(3)
    doors.answers[0] = doors.answers[1] = None
    port, origin = hedged(scripted, doors, n_endpoints=3)
    with RawClient(port) as client:
        client.send(GET)
        wait_requests(origin, 2)
        doors.open(0, 1)
        wait_requests(origin, 3)
        doors.open(2)
        assert body_of(client) == b"2"


def test_the_first_attempt_goes_on_when_nobody_takes_the_second(scripted):
    """The other endpoint refuses the connection."""
    doors = Doors(1)
    port, origin = hedged(scripted, doors, n_endpoints=2, algorithm="round_robin")
    with RawClient(port) as client:
        client.send(GET)
        wait_requests(origin, 1)
        first = int(origin.connections[0].sock.getsockname()[0].rsplit(".", 1)[1]) - 1
        origin.close_listener(1 - first)
        wait_until(lambda: origin.balancer.metrics().sum(
            "quoit_endpoint_failures_total") == 1, 5, "the refused attempt")
        doors.open(0)
        assert body_of(client) == b"0"
    check_metrics(origin.balancer, pool_hedges_total=1, pool_hedges_won_total=0)


@pytest.mark.parametrize("data, options", [
    (b"POST /b HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n", {}),
    (b"PUT /b HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1\r\n\r\nx", {}),
    (b"GET /b HTTP/1.1\r\nHost: a.example\r\nX-Key: one\r\n\r\n",
     {"affinity": "strict", "hash_key": "header:X-Key", "hash_key_fallback": "none"})])
def test_what_must_not_be_sent_twice_is_not(scripted, data, options):
    """A request that began later, and is hedged, shows that the time for it has passed."""
    doors = Doors(3)
    port, origin = hedged(scripted, doors, n_endpoints=3, **options)
    with RawClient(port) as client, RawClient(port) as other:
        client.send(data)
        wait_requests(origin, 1, b" /b HTTP")
        other.send(GET)
        wait_requests(origin, 2)
        assert origin.received.count(b" /b HTTP") == 1
        doors.open(0, 1, 2)
        body_of(client)
        body_of(other)


def test_no_second_attempt_is_made_without_a_place_in_the_budget(scripted):
    doors = Doors(1)
    port, origin = hedged(scripted, doors, retry={"budget": 0, "budget_min": 0})
    with RawClient(port) as client:
        client.send(GET)
        wait_until(lambda: origin.balancer.metrics().sum("quoit_pool_retries_refused_total") == 1)
        doors.open(0)
        assert body_of(client) == b"0"
    check_metrics(origin.balancer, pool_hedges_total=0)


def test_a_client_that_leaves_ends_both_attempts(scripted):
    doors = Doors(2)
    port, origin = hedged(scripted, doors, max_connections=1)
    with RawClient(port) as client:
        client.send(GET)
        wait_requests(origin, 2)
        client.reset()
    wait_closed(origin, 0)
    wait_closed(origin, 1)
    [line] = origin.balancer.wait_access(1)
    assert line["reason"] == "client_gone"
    assert origin.balancer.metrics().sum("quoit_endpoint_requests_in_flight") == 0
    doors.open(0, 1)


def test_two_silent_endpoints_end_in_the_time_for_a_response(scripted):
    doors = Doors(2)
    port, origin = hedged(scripted, doors, retries=1, timeouts={"response": "500ms"})
    with RawClient(port) as client:
        client.send(GET)
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 504 ")
    assert len(origin.connections) == 2
    metrics = origin.balancer.metrics()
    assert metrics.sum("quoit_endpoint_failures_total") == 2
    doors.open(0, 1)
