"""Explanations: what quoit explain, the admin API and the response field say is what happens."""
import contextlib
import json
import threading
import urllib.parse

import pytest

from http_client import Client, RawClient, get
from load import Load
from origins import Response
from ports import free_port
from quoit_process import run_quoit, static_pool
from waiting import wait_until

KEYED = ["hash", "ring", "nginx", "libmemcached", "libmemcached_md5", "libmemcached_weighted",
         "libmemcached_spy", "haproxy", "envoy_maglev", "envoy_ring", "jump"]
TOKEN = "open sesame"
EXPLAIN = {"client": {"explain_header": "X-Why", "explain_token": TOKEN}}
CHECK = {"path": "/health", "interval": "50ms", "timeout": "300ms", "rise": 1, "fall": 1}


def run_explain(balancer, *arguments):
    return run_quoit("explain", "--admin", f"127.0.0.1:{balancer.admin_port}", *arguments)


def explain(balancer, *arguments):
    """What the program says of a running balancer, as JSON."""
    result = run_explain(balancer, "--json", *arguments)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def ask_api(balancer, page, **arguments):
    """Status and JSON of a page of the admin API."""
    status, text = balancer.admin(f"/api/v1/{page}?{urllib.parse.urlencode(arguments)}")
    return status, json.loads(text)


def head(target, *fields, method="GET"):
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: a.example", *fields, "", ""])


def parse_line(line):
    """The response field's line as a dictionary; candidates as (address, verdict) pairs."""
    found = {name: value.strip('"') for name, value in
             (part.split("=", 1) for part in line.split("; "))}
    if "candidates" in found:
        found["candidates"] = [tuple(one.split(" ", 1)) for one in found["candidates"].split(", ")]
    return found


def ask_live(client, target, **fields):
    """A request that asks: its answer, and what the field in it says."""
    answer = client.get(target, x_why=TOKEN, **fields)
    return answer, parse_line(answer.header("x-why"))


def origin_at(servers, address):
    return next(server for server in servers if server.address == address)


@pytest.mark.parametrize("algorithm", KEYED)
def test_requests_go_where_the_explanation_says(quoit, origins, algorithm):
    """With an endpoint down, so that some keys go to their second choice."""
    servers = origins(5)
    endpoints = [{"address": server.address, "weight": i + 1} for i, server in enumerate(servers)]
    balancer = quoit({**EXPLAIN, "pools": {"images": {
        "endpoints": endpoints, "algorithm": algorithm, "health_check": CHECK}}})
    servers[3].health_status = 503
    wait_until(lambda: balancer.usable("images") == 4)
    ways = set()
    with Client(balancer.port) as client:
        for i in range(40):
            status, told = ask_api(balancer, "explain", request=head(f"/picture/{i}"))
            answer, line = ask_live(client, f"/picture/{i}")
            assert status == 200 and told["key"]["text"] == line["key"] == f"/picture/{i}"
            assert origin_at(servers, told["choice"]["address"]).name == answer.origin
            assert line["choice"] == told["choice"]["address"]
            assert line["hash"] == told["hash"] and line["way"] == told["way"]
            assert line["slot"] == f"{told['slot']}/{told['slots']}"
            assert line["snapshot"] == str(told["snapshot"])
            assert line["candidates"] == [
                (c["address"], c["verdict"] + ("(probe_down)" if not c["usable"] else ""))
                for c in told["candidates"]]
            ways.add(told["way"])
    assert ways == {"home", "next"}


def test_an_unusable_endpoint_is_named_with_its_state_and_since_when(quoit, origins):
    servers = origins(3)
    balancer = quoit({"pools": {"images": static_pool(servers, health_check=CHECK)}})
    wait_until(lambda: balancer.usable("images") == 3)
    before = explain(balancer, "/a")
    home = origin_at(servers, before["choice"]["address"])
    home.health_status = 503
    wait_until(lambda: balancer.usable("images") == 2)
    after = explain(balancer, "/a")
    passed, chosen = after["candidates"]
    assert (passed["address"], passed["verdict"]) == (home.address, "unusable")
    assert passed["state"] == "probe_down" and not passed["usable"]
    assert passed["since"] > before["candidates"][0]["since"]
    assert chosen["verdict"] == "chosen" and after["choice"]["address"] == chosen["address"]
    assert after["way"] == "next" and f"{home.address} is probe_down" in after["why"]
    text = run_explain(balancer, "/a").stdout
    assert f"unusable    {home.address}" in text and after["why"] in text


def test_an_endpoint_over_its_bound_is_named_with_its_load(quoit, origins):
    servers = origins(3)
    gate = threading.Event()
    for server in servers:
        server.behaviour = lambda request: Response() if gate.wait(30) else None
    balancer = quoit({**EXPLAIN, "pools": {"images": static_pool(
        servers, balance_factor=1, balance_slack=0, hot_key_share=0)}})
    home = origin_at(servers, explain(balancer, "/a")["choice"]["address"])
    with contextlib.ExitStack() as stack:
        busy, asking = (stack.enter_context(Client(balancer.port)) for _ in range(2))
        busy.send("GET", "/a")
        wait_until(lambda: home.requests)
        told = explain(balancer, "/a")
        asking.send("GET", "/a", x_why=TOKEN)
        wait_until(lambda: sum(len(server.requests) for server in servers) == 2)
        gate.set()
        line = parse_line(asking.receive().header("x-why"))
        assert busy.receive().status == 200
    passed, chosen = told["candidates"]
    assert (passed["address"], passed["verdict"]) == (home.address, "over_bound")
    assert passed["in_flight"] == 1 and passed["limit"] == 1
    assert told["way"] == line["way"] == "overflow"
    assert line["candidates"] == [(home.address, "over_bound(1/1)"), (chosen["address"], "chosen")]


def test_a_hot_key_is_told_with_its_share_and_its_endpoints(quoit, origins):
    """While its first endpoint has something to do: requests are held there."""
    servers = origins(3)
    gate = threading.Event()
    for server in servers:
        server.behaviour = lambda request: Response() if "?hold" in request.target \
            and gate.wait(30) else None
    balancer = quoit({**EXPLAIN, "workers": 1, "pools": {"web": static_pool(
        servers, balance_factor=0, hot_key_share=0.05)}})
    keys = [key for i in range(200) for key in ("/hot", f"/cold{i}")]
    with Load(balancer.port, keys, clients=8, pause=0) as load:
        load.wait_for_requests(3000)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(balancer.port)) for _ in range(6)]
        for client in clients:
            client.send("GET", "/hot?hold=1")
        wait_until(lambda: balancer.metrics().sum("quoit_endpoint_requests_in_flight") == 6)
        told = explain(balancer, "/hot")
        answer, line = ask_live(stack.enter_context(Client(balancer.port)), "/hot")
        gate.set()
        assert all(client.receive().status == 200 for client in clients)
    assert told["key_share"] > 0.1 and told["alternatives"] >= 3
    assert told["way"] == line["way"] == "hot" and "the key is hot" in told["why"]
    assert {c["verdict"] for c in told["candidates"]} == {"busier", "chosen"}
    assert origin_at(servers, line["choice"]).name == answer.origin
    _, hot = ask_api(balancer, "hot_keys", pool="web")
    assert hot["keys"][0]["key"] == {"text": "/hot"}
    assert hot["keys"][0]["hash"] == told["hash"] and hot["keys"][0]["alternatives"] >= 1
    assert explain(balancer, "/cold1")["key_share"] < 0.01


def test_a_retried_request_tells_who_failed_it(quoit, origins):
    servers = origins(3)
    balancer = quoit({**EXPLAIN, "pools": {"images": static_pool(servers)}})
    home = origin_at(servers, explain(balancer, "/a")["choice"]["address"])
    home.close()
    with Client(balancer.port) as client:
        answer, line = ask_live(client, "/a")
    assert answer.status == 200 and line["way"] == "next"
    assert line["candidates"] == [(home.address, "tried"), (line["choice"], "chosen")]


def test_a_weightless_endpoint_is_no_candidate_of_its_keys(quoit, origins):
    servers = origins(2)
    endpoints = [{"address": servers[0].address, "weight": 0}, servers[1].address]
    balancer = quoit({"pools": {"images": {"endpoints": endpoints}}})
    told = explain(balancer, "/a")
    assert [c["address"] for c in told["candidates"]] == [servers[1].address]
    turns = explain(quoit({"pools": {"images": {"endpoints": endpoints,
                                                "algorithm": "round_robin"}}}), "/a")
    assert [c["verdict"] for c in sorted(turns["candidates"], key=lambda c: c["weight"])] == \
        ["weightless", "eligible"]


def test_without_an_endpoint_the_answer_says_so(quoit):
    balancer = quoit({**EXPLAIN, "pools": {"images": static_pool(
        [f"127.0.0.1:{free_port()}"], health_check={**CHECK, "initial": "down"})}})
    told = explain(balancer, "/a")
    assert told["choice"] is None and told["way"] == "nobody" and "503" in told["why"]
    answer = get(balancer.port, "/a", x_why=TOKEN)
    assert answer.status == 503 and "choice=none" in answer.header("x-why")
    assert "unusable(probe_down)" in answer.header("x-why")


@pytest.mark.parametrize("algorithm", ["round_robin", "random_two"])
def test_turns_are_not_foretold(quoit, origins, algorithm):
    servers = origins(3)
    balancer = quoit({**EXPLAIN, "pools": {"images": static_pool(servers, algorithm=algorithm)}})
    told = explain(balancer, "/a")
    assert told["way"] == "turn" and told["choice"] is None and told["key"] is None
    assert {c["verdict"] for c in told["candidates"]} == {"eligible"}
    assert {c["address"] for c in told["candidates"]} == {s.address for s in servers}
    with Client(balancer.port) as client:
        answer, line = ask_live(client, "/a")
        assert origin_at(servers, line["choice"]).name == answer.origin
        assert line["way"] == "turn"


def test_asking_takes_nobodys_turn(quoit, origins):
    servers = origins(2)
    balancer = quoit({"workers": 1, "pools": {"images": static_pool(
        servers, algorithm="round_robin")}})
    with Client(balancer.port) as client:
        first = client.get("/").origin
        for _ in range(3):
            explain(balancer, "/")
            second = client.get("/").origin
            assert second != first
            first = second
    assert balancer.metrics().sum("quoit_endpoint_attempts_total") == 4


def test_a_session_is_named(quoit, origins):
    servers = origins(3)
    balancer = quoit({**EXPLAIN, "pools": {"web": static_pool(
        servers, sticky={"name": "SID", "secret": "a secret of more than 16 bytes"})}})
    answer = get(balancer.port, "/a")
    cookie = answer.header("set-cookie").split(";")[0]
    told = explain(balancer, "/other", "-H", f"Cookie: {cookie}")
    assert told["way"] == "session" and told["session"] == {"cookie": "SID", "result": "hit"}
    assert origin_at(servers, told["choice"]["address"]).name == answer.origin
    with Client(balancer.port) as client:
        live, line = ask_live(client, "/other", cookie=cookie)
        assert live.origin == answer.origin and line["way"] == "session"
    assert explain(balancer, "/a")["session"]["result"] == "miss"


def test_routes_pools_and_fallback_keys_are_told(quoit, origins):
    servers = origins(2)
    pools = {"one": static_pool(servers[:1]),
             "two": static_pool(servers[1:], hash_key="query:id", hash_key_fallback="client")}
    balancer = quoit({"pools": pools, "routes": [
        {"host": "two.example", "path": "/img", "pool": "two"}, {"path": "/one", "pool": "one"}]})
    told = explain(balancer, "http://two.example/img/x?id=7#here")
    assert told["pool"] == "two" and told["route"] == {"host": "two.example", "path": "/img"}
    assert told["key"] == {"text": "7", "from": "hash_key", "source": "query:id"}
    told = explain(balancer, "-H", "Host: two.example", "--client", "::ffff:10.1.2.3", "//img/x")
    assert told["key"] == {"text": "10.1.2.3", "from": "hash_key_fallback", "source": "client"}
    told = explain(balancer, "GET /one/a HTTP/1.0")
    assert told["pool"] == "one" and told["choice"]["address"] == servers[0].address
    told = explain(balancer, "/nowhere")
    assert told["pool"] is None and "no route" in told["why"] and "404" in told["why"]
    told = explain(balancer, "--pool", "two", "--key", "7")
    assert told["key"] == {"text": "7", "from": "given", "source": None}


def test_a_key_in_the_body_is_found(quoit, origins):
    [server] = origins(1)
    balancer = quoit({"pools": {"web": static_pool(
        [server], hash_key="{host}{json:user.id}")}})
    told = explain(balancer, "-d", '{"user": {"id": 42}}', "-H", "Content-Type: application/json",
                   "http://A.example/x")
    assert told["key"] == {"text": "a.example42", "from": "hash_key",
                           "source": "{host}{json:user.id}"}


@pytest.mark.parametrize("key, shown", [
    (b"/plain", {"text": "/plain"}),
    ("/h\u00e9".encode(), {"text": "/h\u00e9"}),
    (b"\xff\x00\x1b[1m\"\\", {"text": "\\xff\\x00\\x1b[1m\\x22\\x5c", "bytes": "ff001b5b316d225c"}),
    (b"\n\t\x7f", {"text": "\n\t\x7f"}),
])
def test_every_key_makes_valid_json(quoit, origins, key, shown):
    balancer = quoit({"pools": {"web": static_pool(origins(1))}})
    status, told = ask_api(balancer, "explain", key=key)
    assert status == 200
    assert {name: told["key"][name] for name in shown} == shown
    assert "bytes" in shown or "bytes" not in told["key"]


def test_a_key_cannot_break_the_response_field(quoit, origins):
    """Obs-text and quotes in a header that is the key: one line of printable ASCII comes back."""
    balancer = quoit({**EXPLAIN, "pools": {"web": static_pool(origins(1),
                                                              hash_key="header:x-key")}})
    with RawClient(balancer.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Why: " + TOKEN.encode() +
                    b"\r\nX-Key: \xff\"; choice=\"evil\\" + b"k" * 3000 + b"\r\n\r\n")
        answer = client.read_until(b"\r\n\r\n").decode("ascii")
    [line] = [line for line in answer.split("\r\n") if line.startswith("X-Why: ")]
    assert line.isprintable() and len(line) < 1600
    assert 'key="\\xff\\x22; choice=\\x22evil\\x5ckkk' in line and '...";' in line


def test_only_who_has_the_token_is_told_and_endpoints_do_not_see_it(quoit, origins):
    [server] = origins(1)
    balancer = quoit({**EXPLAIN, "pools": {"web": static_pool([server])}})
    server.behaviour = lambda request: Response(fields=[("X-Why", "made up by the endpoint")])
    assert get(balancer.port, "/", x_why="close sesame").header("x-why") == \
        "made up by the endpoint"
    assert "choice=" not in get(balancer.port, "/").header("x-why")
    assert 'choice="' in get(balancer.port, "/", x_why=TOKEN).header("x-why")
    assert [request.header("x-why") for request in server.requests] == ["close sesame", None, None]


def test_without_a_token_everybody_is_told_and_without_the_option_nobody(quoit, origins):
    servers = origins(1)
    pools = {"web": static_pool(servers)}
    open_one = quoit({"client": {"explain_header": "X-Why"}, "pools": pools})
    assert 'choice="' in get(open_one.port, "/", x_why="1").header("x-why")
    assert get(quoit({"pools": pools}).port, "/", x_why="1").header("x-why") is None


def test_a_configuration_is_explained_without_a_balancer(quoit, origins, tmp_path):
    servers = origins(4)
    balancer = quoit({"pools": {"web": static_pool(servers)}})
    for i in range(20):
        live = explain(balancer, f"/{i}")
        result = run_quoit("explain", "--config", balancer.folder / f"{balancer.name}.yaml",
                           "--json", f"/{i}")
        assert result.returncode == 0, result.stderr
        assert json.loads(result.stdout)["choice"] == live["choice"]


def test_a_configuration_that_follows_consul_asks_it_once(quoit, consul, origins):
    servers = origins(3)
    for server in servers:
        consul.register("images", server.name, server.port)
    consul.maintain(True, servers[0].name)
    balancer = quoit({"pools": {"images": {"service": "images"}},
                      "consul": {"address": consul.url}})
    wait_until(lambda: balancer.usable("images") == 2)
    path = balancer.folder / f"{balancer.name}.yaml"
    seen = set()
    for i in range(12):
        result = run_quoit("explain", "--config", path, "--json", f"/{i}")
        assert result.returncode == 0, result.stderr
        told = json.loads(result.stdout)
        assert told["choice"] == explain(balancer, f"/{i}")["choice"]
        seen |= {c["state"] for c in told["candidates"]}
    assert seen == {"up", "maintenance"}
    consul.kill()
    result = run_quoit("explain", "--config", path, "/")
    assert result.returncode == 1 and result.stdout == ""
    assert result.stderr.startswith("quoit explain: pool images: ") and consul.url in result.stderr


@pytest.mark.parametrize("arguments, status, error", [
    ((), 2, "found neither a request nor --key"),
    (("/", "/"), 2, "unexpected argument"),
    (("-H", "no colon", "/"), 2, "--header expected"),
    (("-H", "a: b\r\nc: d", "/"), 2, "--header expected"),
    (("--pool", "none", "/"), 1, "there is no pool none"),
    (("--client", "localhost", "/"), 1, "the client localhost is no IP address"),
    (("/a b",), 1, "no valid HTTP/1.1: quoit answers 400 (bad_request)"),
    (("-X", "CONNECT", "/"), 1, "quoit answers"),
    (("GET / HTTP/2.0",), 1, "quoit answers 505 (version_unknown)"),
    (("/" + "a" * 9000,), 1, "quoit answers 414 (target_too_long)"),
    (("--key", "a" * 60000), 1, "the question is too long"),
])
def test_a_question_that_makes_no_sense_is_refused(quoit, arguments, status, error):
    balancer = quoit({"pools": {"web": static_pool(["127.0.0.1:1"])}})
    result = run_explain(balancer, *arguments)
    assert (result.returncode, result.stdout) == (status, "")
    assert error in result.stderr and result.stderr.count("\n") == 1


def test_where_to_look_must_be_said_once(tmp_path):
    assert "neither --config nor --admin" in run_quoit("explain", "/").stderr
    result = run_quoit("explain", "--config", "x", "--admin", "y", "/")
    assert result.returncode == 2 and "--config and --admin" in result.stderr
    result = run_quoit("explain", "--config", tmp_path / "none.yaml", "/")
    assert result.returncode == 1 and "none.yaml" in result.stderr
    result = run_quoit("explain", "--admin", f":{free_port()}", "/")
    assert result.returncode == 1 and "onnect" in result.stderr


def test_another_server_is_not_taken_for_a_balancer(origins):
    [server] = origins(1)
    for page in (["explain", "/"], ["ring"], ["plan", "--remove", "a"]):
        result = run_quoit(page[0], "--admin", server.address, *page[1:])
        assert result.returncode == 1 and "not as quoit's admin listener does" in result.stderr


@pytest.mark.parametrize("query, status, error", [
    ("colour=red", 400, "unknown argument colour"),
    ("key=a&key=b", 400, "there are two of the argument key"),
    ("key=%4", 400, "a bad escape in argument key"),
    ("key=%zz", 400, "a bad escape in argument key"),
    ("request=GET", 400, "the request's head does not end"),
    ("pool=nobody&key=a", 404, "there is no pool nobody"),
    ("key=a", 400, "a key alone does not say which pool"),
])
def test_the_api_says_what_is_wrong(quoit, query, status, error):
    balancer = quoit({"pools": {name: static_pool(["127.0.0.1:1"]) for name in ("a", "b")},
                      "routes": [{"path": "/", "pool": "a"}]})
    found, text = balancer.admin(f"/api/v1/explain?{query}")
    assert found == status and error in json.loads(text)["error"]


def test_the_token_needs_its_header(tmp_path):
    path = tmp_path / "quoit.yaml"
    path.write_text("listeners: :8080\npools: { web: { endpoints: [127.0.0.1:1] } }\n"
                    "client: { explain_token: secret }\n")
    result = run_quoit("check", path)
    assert result.returncode == 1 and "client.explain_token: found it alone" in result.stderr
