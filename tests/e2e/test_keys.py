"""Hash keys made of several parts of a request, of its body, and of what trusted proxies say."""
import json
import uuid

import pytest

from http_client import Client, RawClient
from quoit_process import run_quoit, static_pool
from scripted import reply, values_of
from waiting import wait_until

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


def start(quoit, origins, n, key, configuration=None, **pool):
    """A balancer with one worker, so that its access log is in order."""
    servers = origins(n)
    options = {"hash_key": key, "hash_key_fallback": "none", **pool}
    return quoit({"workers": 1, "pools": {"web": static_pool(servers, **options)},
                  **(configuration or {})}), servers


def keys(balancer, n):
    return [line.get("key") for line in balancer.wait_access(n)]


def post(head, body=b"", *fields, type_=JSON, path=b"/"):
    lines = [b"POST %s HTTP/1.1" % path, b"Host: a", b"Content-Type: " + type_.encode(), *fields]
    return b"\r\n".join([*lines, head, b"", body])


def post_length(body, *fields, **more):
    return post(b"Content-Length: %d" % len(body), body, *fields, **more)


# Template, then requests of one key: (target, fields), and the key.
SAME = [
    ("{host}{path}", [("/a?1", {"Host": "One.example"}), ("/a?2", {"Host": "one.EXAMPLE:80"})],
     "one.example/a"),
    ("{path|lower}", [("/Img/A", {}), ("/img/a", {})], "/img/a"),
    ("{uri|sorted}", [("/s?a=1&b=2", {}), ("/s?b=2&a=1", {}), ("/s?&b=2&&a=1&", {})],
     "/s?a=1&b=2"),
    ("path:2", [("/u/7/x", {}), ("/u/7/y/z", {}), ("/u/7", {})], "/u/7"),
    ("<{method}{{{header:x-a|optional}}}>", [("/", {}), ("/other", {"X-A": ""})], "<GET{}>"),
    ("{cookie:s}/{query:q}", [("/?q=1", {"Cookie": "s=x"}), ("/p?z&q=1", {"Cookie": "t; s=x"})],
     "x/1"),
    ("client/8", [("/a", {}), ("/b", {})], "127.0.0.0"),
]


@pytest.mark.parametrize("template, requests, key", SAME, ids=[row[0] for row in SAME])
def test_requests_that_differ_elsewhere_have_one_key(quoit, origins, template, requests, key):
    balancer, _ = start(quoit, origins, 4, template)
    with Client(balancer.port) as client:
        met = {client.ask("GET", target, **fields).origin for target, fields in requests}
    assert len(met) == 1
    assert keys(balancer, len(requests)) == [key] * len(requests)


def test_different_keys_are_spread_and_each_keeps_its_endpoint(quoit, origins):
    balancer, _ = start(quoit, origins, 4, "{host}/{path:1}")
    with Client(balancer.port) as client:
        first = [client.get(f"/{i}/a").origin for i in range(100)]
        assert len(set(first)) == 4
        assert [client.get(f"/{i}/b?c").origin for i in range(100)] == first


def test_a_request_without_the_key_uses_the_fallback(quoit, origins):
    balancer, _ = start(quoit, origins, 4, "{host}/{cookie:id}",
                        hash_key_fallback="{path|lower}")
    with Client(balancer.port) as client:
        client.get("/A", Cookie="id=7")
        client.get("/A")
    assert keys(balancer, 2) == ["127.0.0.1/7", "/a"]


def test_keys_longer_than_any_room_differ_in_their_last_byte(quoit, origins):
    balancer, _ = start(quoit, origins, 4, "{host}{path}")
    with Client(balancer.port) as client:
        met = {client.get("/" + "x" * 5000 + f"{i:02}").origin for i in range(40)}
    assert len(met) == 4


@pytest.mark.parametrize("trusted, key", [(["10.0.0.0/8", "127.0.0.1"], "198.51.100.7"),
                                          (["10.0.0.0/8"], "127.0.0.1")])
def test_only_a_trusted_proxy_says_who_the_client_is(quoit, origins, trusted, key):
    balancer, _ = start(quoit, origins, 1, "forwarded", {"client": {"trusted_proxies": trusted}})
    with Client(balancer.port) as client:
        client.ask("GET", "/", **{"X-Forwarded-For": "1.1.1.1, 198.51.100.7, 10.2.3.4"})
    assert keys(balancer, 1) == [key]


# --- keys in bodies

BODIES = [
    ("json:user.id", JSON, b'{"a": [1, {"id": 2}], "user": {"name": "n", "id": "Z\\u00fc"}}', "Zü"),
    ("{path}:{json:items.1}", "application/vnd.x+json; charset=utf-8", b'{"items":[0,1.50]}',
     "/:1.50"),
    ("form:user name", FORM, b"a=1&user+name=J%c3%bc&b=2", "Jü"),
    ("form:last", FORM, b"a=1&last=2", "2"),
]


@pytest.mark.parametrize("key, type_, body, expected", BODIES)
def test_a_field_of_the_body_is_the_key(quoit, origins, key, type_, body, expected):
    balancer, (server,) = start(quoit, origins, 1, key)
    with Client(balancer.port) as client:
        client.ask("POST", "/", body, **{"Content-Type": type_})
        client.ask("PUT", "/", iter([body[:9], body[9:]]), **{"Content-Type": type_})
    assert keys(balancer, 2) == [expected] * 2
    assert [request.body for request in server.requests] == [body] * 2


LACKING = [
    ("text/plain", b'{"id": 1}', {}),
    (JSON, b'{"id": 1}', {"Content-Encoding": "br"}),
    (JSON, b'{"id": null}', {}),
    (JSON, b'{"xid": 1}', {}),
    (JSON, b'{"id": 1', {}),
    (JSON, b"", {}),
]


@pytest.mark.parametrize("type_, body, fields", LACKING)
def test_a_body_without_the_field_goes_by_the_fallback(quoit, origins, type_, body, fields):
    balancer, (server,) = start(quoit, origins, 1, "json:id", hash_key_fallback="path")
    with Client(balancer.port) as client:
        assert client.ask("POST", "/p", body, **{"Content-Type": type_, **fields}).status == 200
    assert keys(balancer, 1) == ["/p"]
    assert server.requests[0].body == body


def test_key_and_fallback_may_both_be_in_the_body(quoit, origins):
    balancer, _ = start(quoit, origins, 1, "json:id", hash_key_fallback="form:id")
    with Client(balancer.port) as client:
        client.ask("POST", "/", b'{"id":"j"}', **{"Content-Type": JSON})
        client.ask("POST", "/", b"id=f", **{"Content-Type": FORM})
        client.ask("POST", "/", b"id=f", **{"Content-Type": JSON})
    assert keys(balancer, 3) == ["j", "f", None]


def test_posts_of_one_user_meet_one_endpoint(quoit, origins):
    balancer, _ = start(quoit, origins, 4, "json:user.id")
    met = {}
    with Client(balancer.port) as client:
        for i in range(120):
            body = json.dumps({"n": i, "user": {"id": i % 30}})
            answer = client.ask("POST", f"/{i}", body, **{"Content-Type": JSON})
            met.setdefault(i % 30, set()).add(answer.origin)
    assert all(len(names) == 1 for names in met.values())
    assert len(set.union(*met.values())) == 4


def echo(connection):
    """Answers every request with its body."""
    while True:
        head = connection.read_head()
        if values_of(head, b"transfer-encoding"):
            body = b""
            while size := int(connection.read_until(b"\r\n").split(b";")[0], 16):
                body += connection.read_exactly(size)
                connection.read_exactly(2)
            while connection.read_until(b"\r\n") != b"\r\n":
                pass  # a trailer
        else:
            body = connection.read_exactly(int((values_of(head, b"content-length") or [0])[0]))
        connection.send(reply(body))


def read_reply(client):
    head = client.read_until(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    return client.read_exactly(int(values_of(head, b"content-length")[0]))


def test_a_slow_body_is_waited_for_until_the_field_is_there(scripted):
    port, origin = scripted(echo, hash_key="json:id", hash_key_fallback="none")
    body = b'{"a": "b", "id": "slow"  , "rest": 1}'
    with RawClient(port) as client:
        whole = post_length(body)
        end = whole.index(b'"slow"') + 6
        for i in range(end - 1):
            client.send(whole[i:i + 1])
        assert not origin.connections
        client.send(whole[end - 1:end])
        origin.wait_received(b'"slow"')  # the rest of the body is still to come
        client.send(whole[end:])
        assert read_reply(client) == body
    assert keys(origin.balancer, 1) == ["slow"]


@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_chunked_body_is_read_through_its_framing(scripted, size):
    port, origin = scripted(echo, hash_key="json:id", hash_key_fallback="none")
    body = b'{"list": [1, 2, {"id": 3}], "id": "\\u0061bc", "more": true}'
    pieces = [body[i:i + size] for i in range(0, len(body), size)]
    chunks = b"".join(b"%x;e=1\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    whole = post(b"Transfer-Encoding: chunked", chunks + b"0\r\nT: 1\r\n\r\n")
    with RawClient(port) as client:
        for i in range(0, len(whole), 7):
            client.send(whole[i:i + 7])
        assert read_reply(client) == body
        client.send(post_length(b'{"id": 2}'))
        assert read_reply(client) == b'{"id": 2}'
    assert keys(origin.balancer, 2) == ["abc", "2"]


def test_a_client_that_expects_to_be_asked_is_asked(scripted):
    port, origin = scripted(echo, hash_key="json:id", hash_key_fallback="none")
    body = b'{"id": "x"}'
    with RawClient(port) as client:
        client.send(post_length(body, b"Expect: 100-continue")[:-len(body)])
        assert client.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert not origin.connections
        client.send(body)
        assert read_reply(client) == body
        client.send(post_length(body))  # the connection stays
        assert read_reply(client) == body
    assert b"expect" not in origin.received.lower()
    assert keys(origin.balancer, 2) == ["x"] * 2


def test_a_client_that_does_not_wait_to_be_asked_hears_the_endpoint(scripted):
    def script(connection):
        head = connection.read_head()
        assert values_of(head, b"expect") == [b"100-continue"]
        connection.send(reply(connection.read_exactly(11)))

    port, origin = scripted(script, hash_key="json:id", hash_key_fallback="none")
    with RawClient(port) as client:
        client.send(post_length(b'{"id": "x"}', b"Expect: 100-continue"))
        assert read_reply(client) == b'{"id": "x"}'
    assert keys(origin.balancer, 1) == ["x"]


@pytest.mark.parametrize("before, key", [(100, "k"), (1000, "k"), (1100, "/")])
def test_a_field_counts_if_it_is_complete_in_the_prefix(scripted, before, key):
    port, origin = scripted(echo, hash_key="json:id", hash_key_fallback="path",
                            hash_key_body="1k")
    body = b'{"a": "%s", "id": "k", "b": "%s"}' % (b"x" * before, b"y" * 2_000_000)
    with RawClient(port) as client:
        client.send(post_length(body))
        assert read_reply(client) == body
    assert keys(origin.balancer, 1) == [key]


@pytest.mark.parametrize("before, key", [(988, "k"), (989, "/")])
def test_the_prefix_is_counted_to_the_byte_however_it_arrives(scripted, before, key):
    """The field ends at byte 1024 of the content, or at the next one."""
    port, origin = scripted(echo, hash_key="json:id", hash_key_fallback="path",
                            hash_key_body="1k")
    body = b'{"a": "%s", "id": "%s"}' % (b"x" * before, b"k" * 18)
    assert body.rindex(b'"') == 1023 + before - 988
    for size in (1, 600, len(body)):
        pieces = [body[i:i + size] for i in range(0, len(body), size)]
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
        with RawClient(port) as client:
            client.send(post(b"Transfer-Encoding: chunked", chunks + b"0\r\n\r\n"))
            assert read_reply(client) == body
    assert keys(origin.balancer, 3) == [key.replace("k", "k" * 18)] * 3


def test_nobody_waits_for_more_than_the_prefix(scripted):
    port, origin = scripted(echo, hash_key="json:id", hash_key_fallback="path",
                            hash_key_body="1k")
    body = b'{"a": "%s"}' % (b"x" * 5000)
    with RawClient(port) as client:
        whole = post_length(body)
        client.send(whole[:len(whole) - len(body) + 1024])
        origin.wait_received(b"xxx")  # the client says nothing more until it is there
        client.send(whole[len(whole) - len(body) + 1024:])
        assert read_reply(client) == body
    assert keys(origin.balancer, 1) == ["/"]


def test_framing_that_fills_the_buffer_ends_the_wait(scripted):
    port, origin = scripted(echo, hash_key="json:id", hash_key_fallback="path")
    body = b'{"a": "%s", "id": "k"}' % (b"x" * 4000)
    chunks = b"".join(b"1;%s\r\n%c\r\n" % (b"e" * 20, byte) for byte in body)
    with RawClient(port) as client:
        client.send(post(b"Transfer-Encoding: chunked", chunks + b"0\r\n\r\n", path=b"/p"))
        assert read_reply(client) == body
    assert keys(origin.balancer, 1) == ["/p"]


def test_requests_in_one_packet_are_keyed_by_their_own_bodies(scripted):
    """The last begins where the buffer has too little room behind it for its prefix."""
    port, origin = scripted(echo, hash_key="json:id", hash_key_fallback="none")
    bodies = [b'{"id": "a", "x": "%s"}' % (b"x" * 9000), b'{"id": "b", "x": "%s"}' % (b"y" * 16000),
              b'{"x": "%s", "id": "c"}' % (b"z" * 8000)]
    with RawClient(port) as client:
        client.send(b"".join(map(post_length, bodies)))
        assert [read_reply(client) for _ in bodies] == bodies
    assert keys(origin.balancer, 3) == ["a", "b", "c"]


def test_the_body_is_whole_at_the_endpoint_that_is_tried_next(quoit, origins):
    """The key's endpoint has gone: connecting fails, and even a POST goes elsewhere."""
    balancer, servers = start(quoit, origins, 2, "json:id", {"client": {"body_timeout": "10s"}})
    bodies = [b'{"id": %d, "x": "%s"}' % (i, b"x" * 5000) for i in range(20)]
    with Client(balancer.port) as client:
        met = [client.ask("POST", "/", body, **{"Content-Type": JSON}).origin for body in bodies]
    assert set(met) == {server.name for server in servers}
    gone, stays = servers
    gone.close()
    n_before = len(stays.requests)
    with Client(balancer.port) as client:
        for body in bodies:
            answer = client.ask("POST", "/", body, **{"Content-Type": JSON})
            assert (answer.status, answer.origin) == (200, stays.name)
    assert [request.body for request in stays.requests[n_before:]] == bodies
    assert balancer.metrics().sum("quoit_pool_retries_total", pool="web") >= met.count(gone.name)


def test_an_idempotent_request_is_sent_again_whole(scripted):
    def script(connection):
        head = connection.read_head()
        body = connection.read_exactly(int(values_of(head, b"content-length")[0]))
        if connection.number > 0:
            connection.send(reply(body))

    port, origin = scripted(script, n_endpoints=2, hash_key="json:id", hash_key_fallback="none")
    body = b'{"id": "x", "rest": "%s"}' % (b"r" * 6000)
    with RawClient(port) as client:
        client.send(post_length(body).replace(b"POST", b"PUT", 1))
        assert read_reply(client) == body
    assert origin.received.count(body) == 2


def test_a_body_that_stands_still_is_answered_408(quoit, origins):
    balancer, (server,) = start(quoit, origins, 1, "json:id", {"client": {"body_timeout": "300ms"}})
    with RawClient(balancer.port) as client:
        client.send(post(b"Content-Length: 100", b'{"id": '))
        assert client.read_to_end().startswith(b"HTTP/1.1 408 ")
    assert not server.requests
    assert [line["reason"] for line in balancer.wait_access(1)] == ["client_timeout"]


def test_the_wait_is_part_of_the_whole_request(quoit, origins):
    balancer, (server,) = start(quoit, origins, 1, "json:id", timeouts={"total": "300ms"})
    with RawClient(balancer.port) as client:
        client.send(post(b"Content-Length: 100", b'{"id": '))
        assert client.read_to_end().startswith(b"HTTP/1.1 504 ")
    assert server.accepted == 0
    assert [line["reason"] for line in balancer.wait_access(1)] == ["total_timeout"]


def test_a_client_that_leaves_while_its_body_is_awaited_is_gone(quoit, origins):
    balancer, (server,) = start(quoit, origins, 1, "json:id")
    for leave in (RawClient.half_close, RawClient.reset):
        with RawClient(balancer.port) as client:
            client.send(post(b"Content-Length: 100", b'{"id": '))
            leave(client)
    assert [line["reason"] for line in balancer.wait_access(2)] == ["client_gone"] * 2
    assert not server.requests and server.accepted == 0


def test_wrong_framing_is_answered_400_before_an_endpoint_sees_it(quoit, origins):
    balancer, (server,) = start(quoit, origins, 1, "json:id")
    with RawClient(balancer.port) as client:
        client.send(post(b"Transfer-Encoding: chunked", b'7\r\n{"id": \r\nxyz\r\n'))
        assert client.read_to_end().startswith(b"HTTP/1.1 400 ")
    assert server.accepted == 0


def test_a_request_whose_body_is_awaited_ends_before_the_process(quoit, origins):
    balancer, (server,) = start(quoit, origins, 1, "json:id")
    body = b'{"id": "%s"}' % uuid.uuid4().hex.encode()
    with RawClient(balancer.port) as client:
        whole = post_length(body)
        client.send(whole[:-5])
        wait_until(lambda: balancer.metrics().sum("quoit_client_connections_open") >= 1)
        balancer.signal(15)
        wait_until(lambda: balancer.admin("/readyz")[0] != 200, 5, "draining")
        client.send(whole[-5:])
        assert client.read_to_end().startswith(b"HTTP/1.1 200 ")
    assert server.requests[0].body == body


# --- configuration

@pytest.mark.parametrize("option, value", [
    ("hash_key", "{host}{pth}"), ("hash_key_fallback", "client/40"), ("hash_key", "json:a..b"),
    ("hash_key", "{client|lower}")])
def test_a_wrong_key_is_an_error_that_says_what_is_expected(tmp_path, option, value):
    path = tmp_path / "wrong.yaml"
    path.write_text(json.dumps({"listeners": ":80",
                                "pools": {"a": {"service": "a", option: value}}}))
    result = run_quoit("check", path)
    assert result.returncode == 1, result.stderr
    assert f'pools.a.{option}: found "{value}", expected `path`, ' in result.stderr
    assert "or a template of them" in result.stderr
