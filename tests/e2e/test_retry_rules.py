"""What `retry` asks for: conditions, methods, the time of one try, and the budget."""
import contextlib
import threading

import pytest

from http_client import RawClient, get
from quoit_process import static_pool
from scripted import reply
from waiting import wait_until


def request(line, *fields, body=b""):
    return b"\r\n".join([line, b"Host: a.example", *fields, b"", body])


def ask(port, data=request(b"GET / HTTP/1.1")):
    """The status and body of the answer."""
    with RawClient(port) as client:
        client.send(data)
        head = client.read_until(b"\r\n\r\n")
        length = [line for line in head.split(b"\r\n") if line.startswith(b"Content-Length: ")]
        return int(head.split(b" ")[1]), client.read_exactly(int(length[0].split(b" ")[1]))


def wait_reasons(balancer, *expected):
    balancer.wait_access(len(expected))
    assert sorted(line["reason"] for line in balancer.access()) == sorted(expected)


REFUSAL = reply(b"refused", b"HTTP/1.1 503 Service Unavailable")


def refuse_first(connection):
    """The first connection answers 503 for ever, the others 200."""
    while True:
        connection.read_head()
        connection.send(REFUSAL if connection.number == 0 else reply(b"served"))


# --- answers --------------------------------------------------------------------------------------


def test_an_answer_with_a_listed_status_is_asked_for_elsewhere(scripted):
    port, origin = scripted(refuse_first, n_endpoints=2, retry={"on": ["failure", "503"]})
    assert ask(port) == (200, b"served")
    metrics = origin.balancer.metrics()
    assert metrics.sum("quoit_pool_retries_total") == 1
    assert metrics.sum("quoit_endpoint_responses_total", code="5xx") == 1
    assert metrics.sum("quoit_endpoint_failures_total") == 0
    wait_reasons(origin.balancer, "ok")


def test_an_answer_is_passed_on_where_its_status_is_not_listed(scripted):
    port, origin = scripted(refuse_first, n_endpoints=2, retry={"on": ["failure", "502", "504"]})
    assert ask(port) == (503, b"refused")
    assert len(origin.connections) == 1


def test_the_last_answer_is_passed_on(scripted):
    """Each endpoint refuses; the client gets an endpoint's own words, not quoit's."""
    def script(connection):
        while True:
            connection.read_head()
            connection.send(reply(b"full: %d" % connection.number,
                                  b"HTTP/1.1 503 Service Unavailable"))

    port, origin = scripted(script, n_endpoints=3, retries=2, retry={"on": "503"})
    assert ask(port) == (503, b"full: 2")
    wait_reasons(origin.balancer, "ok")
    port, origin = scripted(script, n_endpoints=2, retries=5, retry={"on": "503"})
    assert ask(port) == (503, b"full: 1")  # there is no third endpoint


def test_the_connection_of_a_whole_refusal_is_used_again(scripted):
    port, origin = scripted(refuse_first, n_endpoints=2, retry={"on": "503"})
    for _ in range(5):
        assert ask(port) == (200, b"served")
    assert len(origin.connections) == 2
    assert origin.connections[0].received.count(b"GET /") == 5


@pytest.mark.parametrize("head", [
    b"Content-Length: 1000000\r\n\r\nthe rest never comes", b"\r\nuntil close",
    b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"])
def test_a_refusal_that_is_not_whole_is_dropped_with_its_connection(scripted, head):
    def script(connection):
        connection.read_head()
        if connection.number > 0:
            connection.send(reply(b"served"))
        else:
            connection.send(b"HTTP/1.1 503 Service Unavailable\r\n" + head)
        connection.read_to_end()

    port, origin = scripted(script, n_endpoints=2, retry={"on": "503"})
    assert ask(port) == (200, b"served")
    wait_until(lambda: origin.connections[0].closed, 5, "the refusal's connection is closed")


def test_a_refused_request_whose_body_was_let_go_gets_the_refusal(scripted):
    def script(connection):
        connection.read_head()
        connection.read_exactly(1 << 20)
        connection.send(REFUSAL)

    port, origin = scripted(script, n_endpoints=2, retry={"on": "503"})
    body = b"x" * (1 << 20)
    assert ask(port, request(b"PUT / HTTP/1.1", b"Content-Length: 1048576", body=body)) == \
        (503, b"refused")
    assert len(origin.connections) == 1


# --- conditions and methods -----------------------------------------------------------------------


def close_first(connection):
    while True:
        connection.read_head()
        if connection.number == 0:
            return
        connection.send(reply(b"served"))


@pytest.mark.parametrize("conditions, status", [("reset", 200), (["connect", "refused"], 502)])
def test_a_lost_endpoint_is_left_when_that_is_asked_for(scripted, conditions, status):
    port, _ = scripted(close_first, n_endpoints=2, retry={"on": conditions})
    assert ask(port)[0] == status


@pytest.mark.parametrize("conditions, n_served", [("refused", 20), (["connect", "reset"], None)])
def test_a_refused_connection_is_left_when_that_is_asked_for(quoit, origins, conditions, n_served):
    [origin] = origins(1)
    balancer = quoit({"pools": {"web": static_pool([origin, "127.0.0.1:1"], algorithm="round_robin",
                                                   retry={"on": conditions})}})
    answers = [get(balancer.port, f"/{i}").status for i in range(20)]
    assert set(answers) <= {200, 502}
    assert answers.count(200) == n_served if n_served else 502 in answers and 200 in answers
    if not n_served:
        lines = balancer.wait_access(20)
        assert {line["reason"] for line in lines} == {"ok", "connect_refused"}


@pytest.mark.parametrize("allowed, status", [(False, 502), (True, 200)])
def test_only_who_allows_it_has_a_post_sent_twice(scripted, allowed, status):
    def script(connection):
        while True:
            connection.read_until(b"\r\n\r\nabc")
            if connection.number == 0:
                return
            connection.send(reply(b"served"))

    port, origin = scripted(script, n_endpoints=2, retry={"non_idempotent": allowed})
    data = request(b"POST / HTTP/1.1", b"Content-Length: 3", body=b"abc")
    assert ask(port, data)[0] == status
    assert origin.received.count(b"POST /") == (2 if allowed else 1)


# --- the time of one try --------------------------------------------------------------------------


def keep_silent_first(connection):
    connection.read_head()
    if connection.number == 0:
        connection.read_to_end()
    connection.send(reply(b"served"))
    connection.read_to_end()


def test_a_try_that_takes_too_long_makes_way_for_another(scripted):
    port, origin = scripted(keep_silent_first, n_endpoints=2, retry={"timeout": "200ms"})
    assert ask(port) == (200, b"served")
    assert origin.connections[0].finished.wait(5)
    metrics = origin.balancer.metrics()
    assert metrics.sum("quoit_endpoint_failures_total") == 1


def answer_when(event):
    def script(connection):
        connection.read_head()
        assert event.wait(20)
        connection.send(reply(b"served"))
        connection.read_to_end()
    return script


@pytest.mark.parametrize("n_endpoints, retries, n_tries, data", [
    (1, 2, 1, request(b"GET / HTTP/1.1")),                  # there is no other endpoint
    (3, 1, 2, request(b"GET / HTTP/1.1")),                  # there is no further attempt
    (2, 2, 1, request(b"POST / HTTP/1.1", b"Content-Length: 0")),  # it may not be sent again
])
def test_the_last_try_may_take_its_time(scripted, n_endpoints, retries, n_tries, data):
    may_answer = threading.Event()
    port, origin = scripted(answer_when(may_answer), n_endpoints=n_endpoints, retries=retries,
                            retry={"timeout": "100ms"})
    with RawClient(port) as client:
        client.send(data)
        wait_until(lambda: len(origin.connections) == n_tries, 5, "the tries")
        # By now the time of the last one is over, too: another request shows that it has passed.
        with RawClient(port) as other:
            other.send(request(b"GET /other HTTP/1.1"))
            wait_until(lambda: origin.received.count(b"/other") == min(n_endpoints, retries + 1), 5)
        may_answer.set()
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    assert origin.received.count(data[:data.index(b"\r\n")]) == n_tries


# --- the budget -----------------------------------------------------------------------------------


def lose_each_once(may_close, may_answer):
    """Takes a target's first request and closes; serves it when it comes again."""
    seen = set()

    def script(connection):
        while True:
            target = connection.read_head().split(b" ")[1]
            if target not in seen:
                seen.add(target)
                assert may_close.wait(10)
                return
            assert may_answer.wait(10)
            connection.send(reply(b"served"))
    return script


def test_retries_in_flight_keep_to_their_budget(scripted):
    """Of 10 requests that lose their endpoint at the same time 3 may be sent again; those end, and
    their places are free for others."""
    may_close, may_answer = threading.Event(), threading.Event()
    port, origin = scripted(lose_each_once(may_close, may_answer), n_endpoints=4, retries=1,
                            retry={"budget": 0, "budget_min": 3})
    balancer = origin.balancer
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(RawClient(port)) for _ in range(10)]
        for i, client in enumerate(clients):
            client.send(request(b"GET /%d HTTP/1.1" % i))
        wait_until(lambda: origin.received.count(b"GET /") == 10, 5, "all requests arrive")
        may_close.set()
        wait_until(lambda: balancer.metrics().sum("quoit_pool_retries_refused_total") == 7, 5)
        may_answer.set()
        heads = [client.read_until(b"\r\n\r\n") for client in clients]
    assert sorted(head.split(b" ")[1] for head in heads) == [b"200"] * 3 + [b"502"] * 7
    assert balancer.metrics().sum("quoit_pool_retries_total") == 3
    wait_reasons(balancer, *["ok"] * 3 + ["upstream_closed"] * 7)
    for i in range(5):
        assert ask(port, request(b"GET /more%d HTTP/1.1" % i)) == (200, b"served")


def test_the_budget_is_a_part_of_the_requests_in_flight(scripted):
    """8 requests in flight, half of which may be retries, and 6 of them lose their endpoint: the
    requests that have ended are not in flight any more, so that it is 3 or 4."""
    may_close, may_answer = threading.Event(), threading.Event()

    def script(connection):
        head = connection.read_head()
        if b"/lost" in head and connection.number < 8:
            assert may_close.wait(10)
            return
        assert may_answer.wait(10)
        connection.send(reply(b"served"))
        connection.read_to_end()

    port, origin = scripted(script, n_endpoints=4, retries=1,
                            retry={"budget": 0.5, "budget_min": 0})
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(RawClient(port)) for _ in range(8)]
        for i, client in enumerate(clients):
            client.send(request(b"GET /%s%d HTTP/1.1" % (b"lost" if i < 6 else b"kept", i)))
        wait_until(lambda: len(origin.connections) == 8, 5, "all requests arrive")
        may_close.set()
        metrics = wait_until(
            lambda: (m := origin.balancer.metrics()).sum("quoit_pool_retries_total") +
            m.sum("quoit_pool_retries_refused_total") == 6 and m, 5, "6 decisions")
        assert metrics.sum("quoit_pool_retries_total") in (3, 4)
        may_answer.set()
        for client in clients:
            client.read_until(b"\r\n\r\n")


def test_what_no_endpoint_has_seen_needs_no_place_in_the_budget(quoit, origins):
    [origin] = origins(1)
    balancer = quoit({"pools": {"web": static_pool(
        [origin, "127.0.0.1:1"], algorithm="round_robin",
        retry={"budget": 0, "budget_min": 0})}})
    assert [get(balancer.port, f"/{i}").status for i in range(20)] == [200] * 20


def test_an_answer_is_passed_on_when_the_budget_is_used_up(scripted):
    port, origin = scripted(refuse_first, n_endpoints=2,
                            retry={"on": "503", "budget": 0, "budget_min": 0})
    assert ask(port) == (503, b"refused")
    assert origin.balancer.metrics().sum("quoit_pool_retries_refused_total") == 1


def test_a_silent_endpoint_is_kept_when_the_budget_is_used_up(scripted):
    def script(connection):
        connection.read_head()
        wait_until(lambda: origin.balancer.metrics().sum("quoit_pool_retries_refused_total") == 1)
        connection.send(reply(b"served"))
        connection.read_to_end()

    port, origin = scripted(script, n_endpoints=2,
                            retry={"timeout": "100ms", "budget": 0, "budget_min": 0})
    assert ask(port) == (200, b"served")
    assert len(origin.connections) == 1
