"""A balancer that was kept from running for a while, by its machine or by a signal: what has come
for it meanwhile is not late."""
import threading
import time

import pytest

from h2_client import H2Client
from http_client import RawClient
from scripted import reply
from waiting import wait_until

TIMEOUT_S = 2
TIMEOUT = f"{TIMEOUT_S}s"


def hold_up(balancer, meanwhile):
    """Stops it, calls meanwhile, and lets it go on when its deadlines have passed."""
    balancer.freeze()
    stopped = time.monotonic()
    meanwhile()
    wait_until(lambda: time.monotonic() > stopped + 1.5 * TIMEOUT_S, 30)
    balancer.thaw()


@pytest.fixture
def held_up(scripted):
    """held_up(script, **options of the client): (port, origin); every deadline is short."""
    def start(script, **client):
        return scripted(script, {"listener": {"http2": "on"}, "client": client}, retries=0,
                        timeouts={"response": TIMEOUT, "idle": TIMEOUT})
    return start


def ask_1(port, method, body, then):
    with RawClient(port) as client:
        client.send(b"%s / HTTP/1.1\r\nHost: a.example\r\nContent-Length: %d\r\n\r\n%s" %
                    (method.encode(), len(body), body[:1]))
        then(lambda: client.send(body[1:]))
        return int(client.read_until(b"\r\n\r\n").split(b" ")[1])


def ask_2(port, method, body, then):
    with H2Client(port) as client:
        client.request(1, fields=[("content-length", str(len(body)))], method=method, end=not body)
        if body:
            client.data(1, body[:1])
        then(lambda: client.data(1, body[1:], end=True))
        return client.wait_reply(1).status


@pytest.fixture(params=(ask_1, ask_2), ids=("http1", "http2"))
def ask(request):
    return request.param


def test_an_answer_that_came_meanwhile_is_passed_on(held_up, ask):
    may_answer, answered = threading.Event(), threading.Event()

    def script(connection):
        connection.read_head()
        assert may_answer.wait(30)
        connection.send(reply())
        answered.set()
        connection.read_to_end()

    port, origin = held_up(script)

    def meanwhile():
        may_answer.set()
        assert answered.wait(30)

    def then(_):
        origin.wait_received(b"\r\n\r\n")
        hold_up(origin.balancer, meanwhile)
    assert ask(port, "GET", b"", then) == 200


def test_a_body_that_came_meanwhile_is_taken(held_up, ask):
    def script(connection):
        connection.read_until(b"\r\n\r\nabc")
        connection.send(reply())
        connection.read_to_end()

    port, origin = held_up(script, body_timeout=TIMEOUT)

    def then(send_rest):
        origin.wait_received(b"\r\n\r\na")
        hold_up(origin.balancer, send_rest)
    assert ask(port, "POST", b"abc", then) == 200


def test_a_head_that_came_meanwhile_is_read(held_up):
    port, origin = held_up(lambda connection: (connection.read_head(), connection.send(reply()),
                                               connection.read_to_end()), header_timeout=TIMEOUT)
    with RawClient(port) as client:
        client.send(b"GET / HTTP/1.1\r\n")
        hold_up(origin.balancer, lambda: client.send(b"Host: a.example\r\n\r\n"))
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
