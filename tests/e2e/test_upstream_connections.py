"""How long connections to endpoints live, and which of the idle ones is used."""
import contextlib
import threading

from http_client import RawClient
from scripted import reply
from waiting import wait_until

REQUEST = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"


def serve(connection):
    while True:
        connection.read_head()
        connection.send(reply(b"%d" % (connection.number % 10)))


def ask(client):
    """The number of the connection that served it."""
    client.send(REQUEST)
    client.read_until(b"\r\n\r\n")
    return int(client.read_exactly(1))


def test_a_connection_carries_so_many_requests_and_no_more(scripted):
    port, origin = scripted(serve, max_connection_requests=3)
    with RawClient(port) as client:
        assert [ask(client) for _ in range(8)] == [0, 0, 0, 1, 1, 1, 2, 2]
    wait_until(lambda: [c.closed for c in origin.connections] == [True, True, False], 5)


def test_an_idle_connection_ends_with_its_age(scripted):
    port, origin = scripted(serve, max_connection_age="300ms")
    with RawClient(port) as client:
        assert ask(client) == 0
        wait_until(lambda: origin.connections[0].closed, 5, "the end of the idle connection")
        assert ask(client) == 1


def test_a_busy_connection_ends_with_its_age(scripted):
    """It is never idle for long, and is not kept when it is over its age."""
    port, origin = scripted(serve, max_connection_age="300ms")
    with RawClient(port) as client:
        wait_until(lambda: ask(client) > 0, 10, "another connection")
        assert origin.connections[0].received.count(b"GET /") > 1
        wait_until(lambda: origin.connections[0].closed, 5)


def test_the_connection_used_last_is_used_first(scripted):
    """So that those which are too many become idle, and end."""
    doors = [threading.Event() for _ in range(4)]

    def script(connection):
        connection.read_head()
        assert doors[connection.number].wait(20)
        connection.send(reply(b"%d" % connection.number))
        serve(connection)

    port, origin = scripted(script)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(RawClient(port)) for _ in range(4)]
        for i, client in enumerate(clients):
            client.send(REQUEST)
            wait_until(lambda n=i + 1: origin.received.count(b"GET /") == n, 5, "its connection")
        for i in [0, 3, 1, 2]:
            doors[i].set()
            clients[i].read_until(b"\r\n\r\n%d" % i)
        assert [ask(clients[0]) for _ in range(5)] == [2] * 5
