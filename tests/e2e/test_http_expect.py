"""Expect: 100-continue, and final responses that come before the request's body is through."""
import pytest

from http_client import RawClient
from scripted import reply, values_of


def request(line, *fields, body=b""):
    return b"\r\n".join([line, b"Host: a.example", *fields, b"", body])


EXPECTING = request(b"POST / HTTP/1.1", b"Expect: 100-continue", b"Content-Length: 5")


def test_the_origin_decides_whether_to_continue(scripted):
    def script(connection):
        head = connection.read_head()
        assert values_of(head, b"expect") == [b"100-continue"]
        connection.send(b"HTTP/1.1 100 Continue\r\nX-Why: not\r\n\r\n")
        body = connection.read_exactly(5)
        connection.send(reply(body))

    port, _ = scripted(script)
    with RawClient(port) as client:
        client.send(EXPECTING)
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 Continue\r\n")
        client.send(b"hello")
        head = client.read_until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert client.read_exactly(5) == b"hello"


def test_a_client_that_does_not_wait_is_served(scripted):
    def script(connection):
        connection.read_head()
        body = connection.read_exactly(5)
        connection.send(reply(body))

    port, _ = scripted(script)
    with RawClient(port) as client:
        client.send(EXPECTING + b"hello")
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")
        assert client.read_exactly(5) == b"hello"


def refuse_first(connection):
    if connection.number == 0:
        connection.read_head()
        connection.send(reply(b"no", line=b"HTTP/1.1 403 Forbidden"))
        connection.read_exactly(5)
    while True:
        connection.read_head()
        connection.send(reply())


def test_a_refusal_arrives_and_the_body_is_never_taken_for_a_request(scripted):
    """Whether the client sends the body now is its affair: what comes is body or nothing."""
    port, origin = scripted(refuse_first)
    with RawClient(port) as client:
        client.send(EXPECTING)
        head = client.read_until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 403 Forbidden\r\n")
        assert client.read_exactly(2) == b"no"
        # It would be an endless wait for a client that keeps it to itself.
        assert values_of(head, b"connection") == [b"close"]
        client.send(b"hello" + request(b"GET /next HTTP/1.1"))
        assert client.read_to_end() == b""
    assert b"helloGET" not in b"".join(c.received for c in origin.connections[1:])


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_an_http_1_0_expectation_is_not_waited_for(scripted, version):
    def script(connection):
        connection.read_head()
        connection.read_exactly(5)
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n" + reply())

    port, _ = scripted(script)
    with RawClient(port) as client:
        client.send(EXPECTING.replace(b"1.1\r\n", version + b"\r\n", 1) + b"hello")
        first = client.read_until(b"\r\n\r\n")
        assert first.startswith(b"HTTP/1.1 200 " if version == b"1.0" else b"HTTP/1.1 100 ")


# --- early responses ------------------------------------------------------------------------------


def answer_early(connection):
    connection.read_head()
    connection.send(reply(b"early"))
    connection.read_to_end()


def test_an_early_response_arrives_while_the_body_still_flows(scripted):
    port, origin = scripted(answer_early)
    with RawClient(port) as client:
        client.send(request(b"POST / HTTP/1.1", b"Content-Length: 10", body=b"first"))
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")
        assert client.read_exactly(5) == b"early"
        client.send(b"secon")
        origin.wait_received(b"\r\n\r\nfirstsecon")


def test_requests_go_on_after_an_early_response_once_the_body_is_through(scripted):
    def script(connection):
        connection.read_head()
        connection.send(reply(b"early"))
        if connection.number == 0:
            connection.read_exactly(10)
        while True:
            connection.read_head()
            connection.send(reply(b"next!"))

    port, _ = scripted(script)
    with RawClient(port) as client:
        client.send(request(b"POST / HTTP/1.1", b"Content-Length: 10", body=b"first"))
        head = client.read_until(b"\r\n\r\n")
        assert not values_of(head, b"connection")
        assert client.read_exactly(5) == b"early"
        client.send(b"secon" + request(b"GET /next HTTP/1.1"))
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")
        assert client.read_exactly(5) == b"next!"


def test_an_early_response_with_close_ends_the_exchange(scripted):
    """The origin refuses a large upload and closes; the client must see the refusal."""
    def script(connection):
        connection.read_head()
        connection.send(reply(b"too big", line=b"HTTP/1.1 413 No", fields=[b"Connection: close"]))

    port, _ = scripted(script, retries=0)
    for _ in range(20):  # the origin's reset must never overtake its answer
        with RawClient(port) as client:
            client.send(request(b"POST / HTTP/1.1", b"Content-Length: 10000000"))
            try:
                for _ in range(40):
                    client.send(b"x" * 65536)
            except OSError:
                pass  # closed towards us, which is right; the answer is there all the same
            head = client.read_until(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 413 No\r\n")
            assert values_of(head, b"connection") == [b"close"]
            assert client.read_exactly(7) == b"too big"
