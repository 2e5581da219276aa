"""What a keep-alive connection costs while nothing happens on it: memory of the process, without
that of the kernel."""
import resource
import select
import socket

import pytest

from http_client import get
from memory import Memory
from scripted import reply

N = 10000  # or as many as there may be descriptors
BYTES_EACH = 1024
OTHER_DESCRIPTORS = 300
REQUEST = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"


def answer_each(connection):
    while True:
        connection.read_head()
        connection.send(reply())


def serve_one_request_each(port, n):
    """n connections that have had one response each, and are silent now."""
    clients, poll = [], select.epoll()
    for _ in range(n):
        client = socket.create_connection(("127.0.0.1", port), timeout=15)
        client.sendall(REQUEST)
        assert client.recv(1000).endswith(b"\r\n\r\nok")
        poll.register(client, select.EPOLLIN)
        clients.append(client)
    assert not poll.poll(0), "a connection was closed, or more came"
    poll.close()
    return clients


@pytest.fixture(name="n")
def enough_descriptors():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield min(N, before[1] - OTHER_DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.release_only  # sanitizers take memory of their own
def test_an_idle_connection_costs_less_than_a_kibibyte(scripted, n):
    port, origin = scripted(answer_each, {"client": {
        "max_connections": n + 1, "max_connections_per_address": 0, "keepalive_timeout": "10m"}})
    for _ in range(100):
        assert get(port, "/").status == 200  # what the first requests take once
    memory = Memory(origin.balancer)
    clients = serve_one_request_each(port, n)
    assert origin.balancer.metrics().sum("quoit_client_connections_open") == n
    each = memory.growth_bytes() / n
    print(f"{each:.0f} bytes a connection")
    for client in clients:
        client.close()
    assert each <= BYTES_EACH
