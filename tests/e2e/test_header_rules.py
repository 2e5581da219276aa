"""Header rules: what becomes of fields on their way, of listeners and routes, and what does not."""
import json

import pytest

from h2_client import H2Client
from h2_origin import H2Endpoint
from http_client import Client, RawClient, get
from origins import Response
from ports import free_port
from quoit_process import run_quoit, static_pool
from scripted import reply

HSTS = "max-age=31536000"


@pytest.fixture
def serve(quoit, origins):
    """serve(listener rules, route rules): (balancer, origin); the route is the one of /r."""
    def start(listener=None, route=None, **more):
        [origin] = origins(1)
        balancer = quoit({
            "workers": 1, "listener": {**(listener or {}), **more}, "pools": {
                "web": static_pool([origin])},
            "routes": [{"path": "/r", "pool": "web", **(route or {})}]})
        return balancer, origin
    return start


def answer_with(*fields):
    return lambda request: Response(body=b"x", fields=fields)


def values(answer, name):
    return [value for field, value in answer.fields if field.lower() == name.lower()]


def test_requests_lose_and_gain_fields(serve):
    balancer, origin = serve({"request_headers": {
        "remove": ["X-Secret", "cookie"], "set": {"X-Env": "prod"}, "add": {"X-Hop": "quoit"}}})
    get(balancer.port, "/r", x_secret="1", X_SECRET="2", Cookie="a=b", x_env="mine", x_hop="first",
        x_keep="kept")
    [seen] = origin.requests
    assert seen.values("x-secret") == seen.values("cookie") == []
    assert seen.values("x-env") == ["prod"]
    assert seen.values("x-hop") == ["first", "quoit"]
    assert seen.header("x-keep") == "kept"


def test_no_spelling_and_no_connection_option_goes_round_a_rule(serve):
    balancer, origin = serve({"request_headers": {
        "remove": "X-Secret", "set": {"X-User": "nobody"}}})
    with RawClient(balancer.port) as client:
        client.send(b"GET /r HTTP/1.1\r\nHost: a\r\nX_User: root\r\nx-USER : root\r\n\r\n")
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    with RawClient(balancer.port) as client:
        client.send(b"GET /r HTTP/1.1\r\nHost: a\r\nX_User: root\r\nx-USER: root\r\nX_SECRET: 1\r\n"
                    b"Connection: X-User, close\r\n\r\n")
        assert client.read_to_end().startswith(b"HTTP/1.1 200 ")
    [seen] = origin.requests
    names = [name.lower().replace("_", "-") for name, _ in seen.fields]
    assert names.count("x-user") == 1 and "x-secret" not in names
    assert seen.header("x-user") == "nobody"


def test_responses_lose_and_gain_fields(serve):
    balancer, origin = serve({"response_headers": {
        "remove": "X-Powered-By", "set": {"Server": "front"}, "add": {"Vary": "Origin"}}})
    origin.behaviour = answer_with(("X-POWERED-BY", "x"), ("server", "a"), ("Server", "b"),
                                   ("Vary", "Accept"))
    answer = get(balancer.port, "/r")
    assert values(answer, "x-powered-by") == []
    assert values(answer, "server") == ["front"]
    assert values(answer, "vary") == ["Accept", "Origin"]


def test_the_route_has_the_last_word(serve):
    balancer, origin = serve(
        {"request_headers": {"set": {"X-A": "listener", "X-B": "listener"}, "add": {"X-C": "1"}},
         "response_headers": {"set": {"X-D": "listener"}}},
        {"request_headers": {"set": {"x-a": "route"}, "remove": ["X-B"], "add": {"X-C": "2"}},
         "response_headers": {"set": {"X-D": "route"}}})
    answer = get(balancer.port, "/r")
    [seen] = origin.requests
    assert seen.values("x-a") == ["route"] and seen.values("x-b") == []
    assert seen.values("x-c") == ["1", "2"]
    assert values(answer, "x-d") == ["route"]


def test_own_answers_follow_the_rules_too(serve):
    balancer, _ = serve({"response_headers": {
        "set": {"Strict-Transport-Security": HSTS, "Server": "front"}, "remove": "Content-Type"}},
        {"response_headers": {"set": {"X-Route": "1", "Retry-After": "30"}}})
    answer = get(balancer.port, "/elsewhere")
    assert answer.status == 404
    assert values(answer, "strict-transport-security") == [HSTS]
    assert values(answer, "server") == ["front"] and values(answer, "content-type") == []
    assert values(answer, "x-route") == []
    with RawClient(balancer.port) as client:
        client.send(b"nonsense\r\n\r\n")
        head = client.read_to_end()
        assert head.startswith(b"HTTP/1.1 400 ")
        assert b"\r\nStrict-Transport-Security: " + HSTS.encode() in head


def test_an_own_answer_to_a_route_has_its_rules(quoit):
    port = free_port()
    balancer = quoit({"workers": 1, "pools": {"web": static_pool([f"127.0.0.1:{port}"])}, "routes": [
        {"pool": "web", "response_headers": {"set": {"Retry-After": "30", "X-Route": "1"}}}]})
    answer = get(balancer.port, "/")
    assert answer.status in (502, 503)
    assert values(answer, "x-route") == ["1"] and values(answer, "retry-after") == ["30"]


def test_a_redirect_to_https_has_the_listeners_rules(serve):
    balancer, _ = serve({"response_headers": {"set": {"X-A": "1"}}}, redirect_https=True)
    answer = get(balancer.port, "/r", Host="a.test")
    assert answer.status == 308 and values(answer, "x-a") == ["1"]
    assert values(answer, "location") == ["https://a.test/r"]


def test_http_2_has_the_same_rules(serve):
    balancer, origin = serve(
        {"request_headers": {"set": {"X-Env": "prod"}}, "http2": "on",
         "response_headers": {"set": {"X-Upper-Case": "1"}, "remove": "X-Powered-By"}})
    origin.behaviour = answer_with(("X-Powered-By", "x"))
    with H2Client(balancer.port) as client:
        answer = client.get(path="/r")
    fields = answer.fields
    assert fields["x-upper-case"] == "1" and "x-powered-by" not in fields
    assert origin.requests[0].header("x-env") == "prod"


def test_heads_with_as_many_fields_as_may_be_pass_over_http_2(scripted):
    """Those of a message, of a listener's rules and of a route's, both ways."""
    def rules(letter):
        both = {"set": {f"x-{letter}-{i}": "v" for i in range(64)}}
        return {"request_headers": both, "response_headers": both}

    many = [(f"m{i}", "v") for i in range(240)]
    seen = []

    def script(connection):
        endpoint = H2Endpoint(connection)
        request = endpoint.wait_request()
        seen.append(request.fields)
        endpoint.answer(request.stream, fields=many)
        endpoint.serve()

    port, _ = scripted(script, {
        "client": {"max_fields": 256, "max_head_size": "32k"}, "buffer_size": "64k",
        "listener": {"http2": "on", **rules("listener")},
        "routes": [{"pool": "web", **rules("route")}]}, http2="only")
    with H2Client(port) as client:
        answer = client.get(fields=many)
    assert answer.status == 200
    for fields in (seen[0], answer.fields):
        assert len([name for name in fields if name.startswith(("x-listener-", "x-route-"))]) == 128
        assert len([name for name in fields if name.startswith("m")]) == 240


def test_every_attempt_has_the_rules(quoit, origins):
    refused = free_port()
    [origin] = origins(1)
    balancer = quoit({"workers": 1, "listener": {"request_headers": {"add": {"X-A": "1"}}}, "pools": {
        "web": static_pool([f"127.0.0.1:{refused}", origin], algorithm="round_robin")}})
    for _ in range(4):
        assert get(balancer.port, "/").status == 200
    assert [request.values("x-a") for request in origin.requests] == [["1"]] * 4


def test_sessions_keep_their_cookie_whatever_becomes_of_the_others(quoit, origins):
    [origin] = origins(1)
    balancer = quoit({
        "workers": 1,
        "listener": {"request_headers": {"remove": "Cookie"},
                     "response_headers": {"remove": "Set-Cookie"}},
        "pools": {"web": static_pool([origin], sticky={"name": "SID", "strip": True})}})
    origin.behaviour = answer_with(("Set-Cookie", "theirs=1"))
    answer = get(balancer.port, "/", Cookie="a=b")
    [cookie] = values(answer, "set-cookie")
    assert cookie.startswith("SID=")
    assert values(get(balancer.port, "/", Cookie=f"a=b; {cookie.split(';')[0]}"), "set-cookie") == []
    assert [request.values("cookie") for request in origin.requests] == [[], []]


def test_keys_are_what_the_client_has_sent(quoit, origins):
    balancer = quoit({
        "workers": 1, "listener": {"request_headers": {"set": {"X-Key": "same"}}},
        "pools": {"web": static_pool(origins(3), hash_key="header:X-Key")}})
    with Client(balancer.port) as client:
        assert len({client.get("/", x_key=str(i)).origin for i in range(50)}) == 3


def test_interim_responses_are_left_alone(scripted):
    def script(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + reply())

    port, _ = scripted(script, {"listener": {"response_headers": {"set": {"Link": "</b>"}}}})
    with RawClient(port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"Link: </a>" in client.read_until(b"\r\n\r\n")
        head = client.read_until(b"\r\n\r\n")
        assert b"Link: </b>" in head and b"</a>" not in head


def test_check_names_the_place_of_a_field_that_is_not_to_be_ruled(tmp_path):
    path = tmp_path / "quoit.yaml"
    path.write_text(json.dumps({
        "listeners": [{"address": ":80", "response_headers": {"set": {"Content-Length": "1"}}}],
        "pools": {"web": {"endpoints": ["127.0.0.1:1"]}}}))
    result = run_quoit("check", "--config", path)
    assert result.returncode != 0
    assert "listeners.0.response_headers.set: found \"Content-Length\"" in (
        result.stdout + result.stderr)
