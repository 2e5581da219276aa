"""`max_connections` and the queue of those that must wait."""
import contextlib
import threading

import pytest

from http_client import Client, RawClient
from quoit_process import static_pool
from scripted import ScriptedOrigin, reply
from waiting import wait_until


def request(target, *fields, method=b"GET", body=b""):
    return b"\r\n".join([method + b" " + target + b" HTTP/1.1", b"Host: a.example", *fields, b"",
                         body])


class Gate:
    """A script whose requests are answered one by one, when the test says so."""

    def __init__(self):
        self.arrived = []  # targets, in the order in which they came
        self.addresses = []  # where each came to
        self.down = set()  # addresses that answer probes with 500
        self._doors = {}
        self._lock = threading.Lock()
        self.in_progress = self.most = 0

    def _door(self, target):
        with self._lock:
            return self._doors.setdefault(target, threading.Event())

    def __call__(self, connection):
        while True:
            target = connection.read_head().split(b" ")[1].decode()
            address = connection.sock.getsockname()[0]
            if target == "/health":
                connection.send(reply(line=b"HTTP/1.1 500 No" if address in self.down
                                      else b"HTTP/1.1 200 OK"))
                continue
            with self._lock:
                self.arrived.append(target)
                self.addresses.append(address)
                self.in_progress += 1
                self.most = max(self.most, self.in_progress)
            assert self._door(target).wait(30)
            with self._lock:
                self.in_progress -= 1
            connection.send(reply(target.encode()))

    def open(self, *targets):
        for target in targets:
            self._door(target).set()

    def wait_arrived(self, *targets):
        wait_until(lambda: self.arrived == list(targets), 5,
                   lambda: f"{targets} at the origin; there are {self.arrived}")


@pytest.fixture
def clients():
    """clients(port, *targets): each asks on a connection of its own."""
    with contextlib.ExitStack() as stack:
        def ask(port, *targets):
            started = [stack.enter_context(RawClient(port)) for _ in targets]
            for client, target in zip(started, targets):
                client.send(request(target.encode()))
            return started if len(started) > 1 else started[0]
        yield ask


def status_of(client):
    head = client.read_until(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length: "):
            client.read_exactly(int(line.split(b" ")[1]))
    return int(head.split(b" ")[1])


def queued(balancer):
    return int(balancer.metrics().sum("quoit_pool_queued_requests", pool="web"))


def wait_queued(balancer, n):
    wait_until(lambda: queued(balancer) == n, 5, lambda: f"{n} in the queue: {queued(balancer)}")


def wait_reason(balancer, reason):
    wait_until(lambda: any(line["reason"] == reason for line in balancer.access()), 5,
               lambda: f"{reason} in the access log: {balancer.access()}")


def test_requests_wait_for_room_first_come_first_served(scripted, clients):
    gate = Gate()
    port, origin = scripted(gate, max_connections=1)
    balancer = origin.balancer
    first = clients(port, "/0")
    gate.wait_arrived("/0")
    waiting = []
    for i in range(1, 5):
        waiting.append(clients(port, f"/{i}"))
        wait_queued(balancer, i)
    assert gate.arrived == ["/0"]
    for i, client in enumerate([first, *waiting]):
        gate.wait_arrived(*[f"/{k}" for k in range(i + 1)])
        gate.open(f"/{i}")
        assert status_of(client) == 200
    metrics = balancer.metrics()
    assert metrics.sum("quoit_pool_queued_requests") == 0
    assert metrics.sum("quoit_pool_queue_duration_seconds_count") == 4
    assert metrics.sum("quoit_pool_queue_duration_seconds_sum") > 0
    assert gate.most == 1


def test_without_a_queue_what_finds_no_room_is_refused_at_once(scripted, clients):
    gate = Gate()
    port, origin = scripted(gate, max_connections=1, queue=0)
    first = clients(port, "/0")
    gate.wait_arrived("/0")
    refused = clients(port, "/1")
    assert status_of(refused) == 503
    wait_reason(origin.balancer, "queue_full")
    gate.open("/0")
    assert status_of(first) == 200
    gate.open("/2")
    refused.send(request(b"/2"))  # its connection has stayed
    assert status_of(refused) == 200


def test_a_full_queue_refuses(scripted, clients):
    gate = Gate()
    port, origin = scripted(gate, max_connections=1, queue=2)
    first = clients(port, "/0")
    gate.wait_arrived("/0")
    waiting = clients(port, "/1", "/2")
    wait_queued(origin.balancer, 2)
    assert status_of(clients(port, "/3")) == 503
    wait_reason(origin.balancer, "queue_full")
    gate.open("/0", "/1", "/2")
    assert [status_of(client) for client in [first, *waiting]] == [200] * 3


def test_a_wait_ends_after_its_time(scripted, clients):
    gate = Gate()
    port, origin = scripted(gate, max_connections=1, timeouts={"queue": "200ms"})
    first = clients(port, "/0")
    gate.wait_arrived("/0")
    assert status_of(clients(port, "/1")) == 503
    wait_reason(origin.balancer, "queue_timeout")
    assert queued(origin.balancer) == 0
    gate.open("/0")
    assert status_of(first) == 200
    assert gate.arrived == ["/0"]


@pytest.mark.parametrize("leave", [RawClient.reset, RawClient.half_close])
def test_who_leaves_gives_up_the_place(scripted, clients, leave):
    gate = Gate()
    port, origin = scripted(gate, max_connections=1, queue=2)
    first = clients(port, "/0")
    gate.wait_arrived("/0")
    gone = clients(port, "/1")
    wait_queued(origin.balancer, 1)
    last = clients(port, "/2")
    wait_queued(origin.balancer, 2)
    leave(gone)
    wait_queued(origin.balancer, 1)
    wait_reason(origin.balancer, "client_gone")
    gate.open("/0", "/2")
    assert status_of(first) == status_of(last) == 200
    assert gate.arrived == ["/0", "/2"]


def test_a_body_waits_with_its_request(scripted, clients):
    body = b"0123456789" * 30000

    def script(connection):
        if connection.read_head().startswith(b"GET"):
            assert may_answer.wait(20)
            connection.send(reply(b"first"))
            connection.read_head()
        assert connection.read_exactly(len(body)) == body
        connection.send(reply(b"second"))
        connection.read_to_end()

    may_answer = threading.Event()
    port, origin = scripted(script, max_connections=1)
    first = clients(port, "/0")
    origin.wait_received(b"GET /0 ")
    with RawClient(port) as client:
        client.send(request(b"/1", b"Content-Length: %d" % len(body), method=b"POST"))
        sender = threading.Thread(target=client.send, args=(body,))
        sender.start()
        wait_queued(origin.balancer, 1)
        may_answer.set()
        assert status_of(first) == 200
        assert status_of(client) == 200
        sender.join(10)


def test_what_comes_behind_a_waiting_request_waits_too(scripted, clients):
    gate = Gate()
    port, origin = scripted(gate, max_connections=1)
    first = clients(port, "/0")
    gate.wait_arrived("/0")
    with RawClient(port) as client:
        client.send(request(b"/1") + request(b"/2"))
        wait_queued(origin.balancer, 1)
        gate.open("/0", "/1", "/2")
        assert [status_of(first), status_of(client), status_of(client)] == [200] * 3
    assert gate.arrived == ["/0", "/1", "/2"]


def test_a_tunnel_takes_room_as_long_as_it_lasts(scripted, clients):
    def script(connection):
        head = connection.read_head()
        if b"Upgrade" in head:
            connection.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
                            b"Upgrade: x\r\n\r\n")
            connection.read_to_end()
            return
        connection.send(reply())
        connection.read_to_end()

    port, origin = scripted(script, max_connections=1)
    with RawClient(port) as tunnel:
        tunnel.send(request(b"/tunnel", b"Connection: upgrade", b"Upgrade: x"))
        assert status_of(tunnel) == 101
        waiting = clients(port, "/1")
        wait_queued(origin.balancer, 1)
    assert status_of(waiting) == 200


# --- more than one endpoint -----------------------------------------------------------------------


def addresses_of(origin):
    """Which endpoint each connection came to, in order."""
    return [connection.sock.getsockname()[0] for connection in origin.connections]


@pytest.mark.parametrize("options", [
    {"algorithm": "round_robin"}, {"algorithm": "least_requests"}, {"algorithm": "random_two"},
    {"algorithm": "hash", "balance_factor": 0}, {"algorithm": "ring", "balance_factor": 0}])
def test_who_may_goes_to_an_endpoint_with_room(scripted, clients, options):
    """All with one key; nobody waits as long as any of the endpoints has room."""
    gate = Gate()
    port, origin = scripted(gate, n_endpoints=3, max_connections=2, hash_key_fallback="none",
                            hash_key="header:X-Key", **options)
    with contextlib.ExitStack() as stack:
        started = [stack.enter_context(RawClient(port)) for _ in range(7)]
        for i, client in enumerate(started[:6]):
            client.send(request(b"/%d" % i, b"X-Key: one"))
        wait_until(lambda: len(gate.arrived) == 6, 5, "6 requests at their endpoints")
        started[6].send(request(b"/6", b"X-Key: one"))
        wait_queued(origin.balancer, 1)
        found = addresses_of(origin)
        assert {address: found.count(address) for address in found} == {
            f"127.0.0.{i + 1}": 2 for i in range(3)}
        gate.open(*[f"/{i}" for i in range(7)])
        assert [status_of(client) for client in started] == [200] * 7


def test_a_key_that_is_tied_to_its_endpoint_waits_for_it(scripted, clients):
    gate = Gate()
    port, origin = scripted(gate, n_endpoints=3, max_connections=1, affinity="strict",
                            hash_key="header:X-Key", hash_key_fallback="none")
    with contextlib.ExitStack() as stack:
        started = [stack.enter_context(RawClient(port)) for _ in range(3)]
        for i, client in enumerate(started):
            client.send(request(b"/%d" % i, b"X-Key: one"))
            wait_until(lambda n=i: queued(origin.balancer) == n and gate.arrived, 5)
        assert gate.arrived == ["/0"]
        gate.open("/0", "/1", "/2")
        assert [status_of(client) for client in started] == [200] * 3
    assert len(set(addresses_of(origin))) == 1


def test_a_session_waits_for_its_endpoint(scripted):
    gate = Gate()
    port, origin = scripted(gate, n_endpoints=2, max_connections=1, algorithm="round_robin",
                            sticky="to")
    gate.open("/hello")
    with Client(port) as client:
        cookie = client.get("/hello").header("set-cookie").split(";")[0]
    with RawClient(port) as first, RawClient(port) as second:
        first.send(request(b"/1", b"Cookie: " + cookie.encode()))
        gate.wait_arrived("/hello", "/1")
        second.send(request(b"/2", b"Cookie: " + cookie.encode()))
        wait_queued(origin.balancer, 1)
        gate.open("/1", "/2")
        assert status_of(first) == status_of(second) == 200
    assert len(set(addresses_of(origin))) == 1


CHECK = {"type": "http", "path": "/health", "interval": "50ms", "rise": 1, "fall": 1}


def test_waiting_requests_leave_an_endpoint_that_goes_down(scripted):
    """The key's endpoint is full, and then down: who waits goes to the next one at once, while the
    request that it is working on goes on there."""
    gate = Gate()
    port, origin = scripted(gate, n_endpoints=2, max_connections=1, affinity="strict",
                            hash_key="header:X-Key", health_check=CHECK)
    balancer = origin.balancer
    wait_until(lambda: balancer.usable("web") == 2)
    with RawClient(port) as first, RawClient(port) as second:
        first.send(request(b"/0", b"X-Key: one", b"Content-Length: 0", method=b"POST"))
        gate.wait_arrived("/0")
        second.send(request(b"/1", b"X-Key: one"))
        wait_queued(balancer, 1)
        gate.down.add(gate.addresses[0])
        gate.wait_arrived("/0", "/1")
        assert gate.addresses[0] != gate.addresses[1]
        gate.open("/0", "/1")
        assert status_of(first) == status_of(second) == 200


def test_waiting_requests_are_told_when_no_endpoint_is_left(scripted, clients):
    gate = Gate()
    port, origin = scripted(gate, max_connections=1, health_check=CHECK)
    with RawClient(port) as first:
        first.send(request(b"/0", b"Content-Length: 0", method=b"POST"))
        gate.wait_arrived("/0")
        waiting = clients(port, "/1")
        wait_queued(origin.balancer, 1)
        gate.down.add(gate.addresses[0])
        assert status_of(waiting) == 503
        wait_reason(origin.balancer, "no_endpoint")
        gate.open("/0")
        assert status_of(first) == 200


def test_waiting_requests_follow_their_key_to_a_new_endpoint(quoit, consul, clients):
    """A pool of one full endpoint gets another one."""
    gate = Gate()
    origin = ScriptedOrigin(gate, n_addresses=2)
    try:
        host, tcp_port = origin.addresses[0].split(":")
        consul.register("web", "first", int(tcp_port), Address=host)
        balancer = quoit({"workers": 1, "consul": {"address": consul.url}, "pools": {
            "web": {"service": "web", "max_connections": 1}}})
        first = clients(balancer.port, "/0")
        gate.wait_arrived("/0")
        second = clients(balancer.port, "/1")
        wait_queued(balancer, 1)
        consul.register("web", "second", int(tcp_port), Address="127.0.0.2")
        gate.wait_arrived("/0", "/1")
        gate.open("/0", "/1")
        assert status_of(first) == status_of(second) == 200
    finally:
        gate.open("/0", "/1")
        origin.close()


def test_a_further_attempt_waits_for_room(scripted):
    """The first endpoint takes a request and closes; the other one is full for a while."""
    gate = Gate()
    lost = []

    def script(connection):
        if connection.sock.getsockname()[0] == "127.0.0.1":
            lost.append(connection.read_head().split(b" ")[1].decode())
        else:
            gate(connection)

    port, origin = scripted(script, n_endpoints=2, max_connections=1, algorithm="round_robin")
    with RawClient(port) as first, RawClient(port) as second:
        first.send(request(b"/0"))
        gate.wait_arrived("/0")
        second.send(request(b"/1"))
        wait_queued(origin.balancer, 1)
        assert "/1" in lost
        gate.open("/0", "/1")
        assert status_of(first) == status_of(second) == 200


# --- more than one worker -------------------------------------------------------------------------


def test_workers_share_the_room_of_an_endpoint(quoit, clients):
    """With 3 connections in use at most, of 4 workers: never more at the endpoint, and whoever
    waits in whichever worker comes to its turn."""
    gate = Gate()
    origin = ScriptedOrigin(gate)
    targets = [f"/{i}" for i in range(60)]
    try:
        balancer = quoit({"workers": 4, "pools": {"web": static_pool(
            origin.addresses, max_connections=3, timeouts={"queue": "30s"})}})
        started = clients(balancer.port, *targets)
        wait_queued(balancer, 57)
        wait_until(lambda: len(gate.arrived) == 3, 5, "3 requests at the endpoint")
        while len(gate.arrived) < 60:
            n = len(gate.arrived)
            gate.open(gate.arrived[n - 3])
            wait_until(lambda n=n: len(gate.arrived) > n, 5,
                       lambda: f"the next request: {queued(balancer)} wait")
        gate.open(*targets)
        assert [status_of(client) for client in started] == [200] * 60
        assert gate.most <= 3
        assert queued(balancer) == 0
    finally:
        gate.open(*targets)
        origin.close()


def test_the_room_of_a_worker_without_requests_is_not_lost(quoit, origins):
    """Many clients, few connections, in all workers: everything is served."""
    [origin] = origins(1)
    balancer = quoit({"workers": 4, "pools": {"web": static_pool(
        [origin], max_connections=2, timeouts={"queue": "30s"})}})
    failures = []

    def ask():
        with Client(balancer.port, timeout=40) as client:
            for i in range(50):
                if client.get(f"/{i}").status != 200:
                    failures.append(i)

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert not failures
    metrics = balancer.metrics()
    assert metrics.sum("quoit_pool_requests_total", reason="ok") == 800
    assert metrics.sum("quoit_pool_queue_duration_seconds_count") > 0
