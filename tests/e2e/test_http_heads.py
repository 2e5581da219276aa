"""What the balancer adds to message heads, what it takes off, and who may say so."""
import pytest

from http_client import RawClient, raw
from scripted import reply, values_of
from waiting import wait_until


def request(line, *fields, body=b""):
    return b"\r\n".join([line, b"Host: a.example", *fields, b"", body])


def answer_each(connection):
    while True:
        connection.read_head()
        connection.send(reply())


def test_the_chain_of_proxies_is_continued_in_order(scripted):
    port, origin = scripted(answer_each, {"client": {"trusted_proxies": "127.0.0.1"}})
    raw(port, request(b"GET / HTTP/1.1", b"Connection: close", b"X-Forwarded-For: 192.0.2.1",
                      b"Via: 1.0 first", b"x-forwarded-for: 192.0.2.2, 192.0.2.3", b"via: 1.1 x"))
    [forwarded] = values_of(origin.received, b"x-forwarded-for")
    assert forwarded == b"192.0.2.1, 192.0.2.2, 192.0.2.3, 127.0.0.1"
    via = b", ".join(values_of(origin.received, b"via"))
    assert via == b"1.0 first, 1.1 x, 1.1 quoit"


def test_a_client_cannot_say_how_it_came(scripted):
    port, origin = scripted(answer_each)
    raw(port, request(b"GET / HTTP/1.1", b"Connection: close", b"X-Forwarded-Proto: https",
                      b"X-Forwarded-Host: evil.example", b"X-Forwarded-Proto: https"))
    assert values_of(origin.received, b"x-forwarded-proto") == [b"http"]
    assert values_of(origin.received, b"x-forwarded-host") == [b"a.example"]


def test_connection_cannot_take_off_what_the_balancer_vouches_for(scripted):
    port, origin = scripted(answer_each)
    raw(port, request(
        b"GET / HTTP/1.1", b"Connection: close, X-Forwarded-For, X-Forwarded-Host, "
        b"X-Forwarded-Proto, Host, Via, Cookie, X-Own", b"Cookie: a=b", b"Via: 1.1 first",
        b"X-Forwarded-For: 192.0.2.1", b"X-Own: 1"))
    assert values_of(origin.received, b"x-forwarded-for") == [b"127.0.0.1"]
    assert values_of(origin.received, b"x-forwarded-host") == [b"a.example"]
    assert values_of(origin.received, b"host") == [b"a.example"]
    assert values_of(origin.received, b"cookie") == [b"a=b"]
    assert values_of(origin.received, b"via") == [b"1.1 first", b"1.1 quoit"]
    assert not values_of(origin.received, b"x-own")


def test_credentials_for_the_origin_pass_and_those_for_a_proxy_do_not(scripted):
    port, origin = scripted(answer_each)
    raw(port, request(b"GET / HTTP/1.1", b"Connection: close", b"Authorization: Basic x",
                      b"Proxy-Authorization: Basic y"))
    assert values_of(origin.received, b"authorization") == [b"Basic x"]
    assert not values_of(origin.received, b"proxy-authorization")


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_an_empty_host_stays_empty(scripted, version):
    port, origin = scripted(answer_each)
    raw(port, b"GET / HTTP/%s\r\nHost:\r\nConnection: close\r\n\r\n" % version)
    assert values_of(origin.received, b"host") == [b""]
    assert not values_of(origin.received, b"x-forwarded-host")


def test_a_client_without_host_gets_one_towards_the_origin(scripted):
    port, origin = scripted(answer_each)
    raw(port, b"GET / HTTP/1.0\r\n\r\n")
    assert values_of(origin.received, b"host") == [origin.addresses[0].encode()]


def test_close_asked_by_the_client_ends_its_connection_and_not_the_pooled_one(scripted):
    port, origin = scripted(answer_each)
    for _ in range(3):
        answer = raw(port, request(b"GET / HTTP/1.1", b"Connection: close"))
        assert values_of(answer, b"connection") == [b"close"]
        assert answer.endswith(b"\r\n\r\nok")
    assert len(origin.connections) == 1
    assert not values_of(origin.received, b"connection")


@pytest.mark.parametrize("line, fields", [
    (b"HTTP/1.1 200 OK", [b"Connection: close"]), (b"HTTP/1.0 200 OK", []),
], ids=["close", "http_1_0"])
def test_close_asked_by_the_origin_ends_its_connection_and_not_the_clients(scripted, line, fields):
    def script(connection):
        connection.read_head()
        connection.send(reply(line=line, fields=fields))
        connection.read_to_end()

    port, origin = scripted(script)
    with RawClient(port) as client:
        for _ in range(3):
            client.send(request(b"GET / HTTP/1.1"))
            head = client.read_until(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert not values_of(head, b"connection")
            assert client.read_exactly(2) == b"ok"
    assert len(origin.connections) == 3
    wait_until(lambda: all(connection.closed for connection in origin.connections))


def test_an_http_1_0_origin_that_keeps_its_connection_is_used_again(scripted):
    def script(connection):
        while True:
            connection.read_head()
            connection.send(reply(line=b"HTTP/1.0 200 OK", fields=[b"Connection: keep-alive"]))

    port, origin = scripted(script)
    with RawClient(port) as client:
        for _ in range(3):
            client.send(request(b"GET / HTTP/1.1"))
            head = client.read_until(b"\r\n\r\n")
            assert values_of(head, b"via") == [b"1.0 quoit"]
            assert client.read_exactly(2) == b"ok"
    assert len(origin.connections) == 1
