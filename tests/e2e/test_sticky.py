"""Cookie affinity: a session stays where its cookie says, and moves only when it must."""
import json
import re

import pytest

from http_client import Client, RawClient, get
from origins import Response
from quoit_process import run_quoit, static_pool
from scripted import reply
from waiting import wait_until

SECRET = "a secret of more than 16 bytes"
CHECK = {"path": "/health", "interval": "100ms", "timeout": "300ms", "rise": 1, "fall": 1}


def sticky_pool(endpoints, algorithm="round_robin", sticky=None, **more):
    """Round robin unless told otherwise: without a cookie each request goes elsewhere."""
    return static_pool(endpoints, algorithm=algorithm,
                       sticky={"name": "SID", "secret": SECRET, **(sticky or {})}, **more)


def serve(quoit, pool, workers=1):
    return quoit({"workers": workers, "pools": {"web": pool}})


def set_cookies(answer):
    return [value for field, value in answer.fields if field.lower() == "set-cookie"]


def cookie_of(answer):
    """The pair of the one Set-Cookie, as a browser gives it back."""
    cookies = set_cookies(answer)
    assert len(cookies) == 1, cookies
    return cookies[0].split(";")[0]


def begin_session(port, target="/"):
    """A new session: its cookie and its origin."""
    answer = get(port, target)
    assert answer.status == 200
    return cookie_of(answer), answer.origin


def begin_session_at(port, origin):
    """A new session at this origin; round robin comes to it."""
    for _ in range(20):
        cookie, found = begin_session(port)
        if found == origin.name:
            return cookie
    raise AssertionError(f"no session began at {origin.name}")


def counts(balancer):
    page = balancer.metrics()
    return [int(page.sum(f"quoit_pool_sticky_{what}_total", pool="web"))
            for what in ("hits", "misses", "unknown", "moved")]


def wait_for_counts(balancer, expected):
    wait_until(lambda: counts(balancer) == expected, 5,
               lambda: f"{expected} hits, misses, unknown and moved; found {counts(balancer)}")


def asked(origins):
    return sum(len(origin.requests) for origin in origins)


# --- staying ------------------------------------------------------------------------------------


def test_a_session_stays_at_its_endpoint_and_gets_no_second_cookie(quoit, origins):
    balancer = serve(quoit, sticky_pool(origins(5)), workers=2)
    for _ in range(10):
        cookie, origin = begin_session(balancer.port)
        for i in range(5):
            answer = get(balancer.port, f"/{i}", Cookie=f"a=1; {cookie}; b=2")
            assert answer.origin == origin
            assert set_cookies(answer) == []
    wait_for_counts(balancer, [50, 10, 0, 0])


@pytest.mark.parametrize("algorithm", ["hash", "ring", "least_requests", "random_two", "haproxy"])
def test_a_cookie_counts_more_than_the_algorithm(quoit, origins, algorithm):
    balancer = serve(quoit, sticky_pool(origins(5), algorithm=algorithm))
    sessions = [begin_session(balancer.port, f"/{i}") for i in range(10)]
    assert len({origin for _, origin in sessions}) > 1
    for cookie, origin in sessions:
        answers = [get(balancer.port, f"/{i}", Cookie=cookie) for i in range(10)]
        assert {answer.origin for answer in answers} == {origin}


def test_requests_without_a_cookie_go_by_the_algorithm(quoit, origins):
    balancer = serve(quoit, sticky_pool(origins(4)))
    with Client(balancer.port) as client:
        answers = [client.get("/", Cookie="other=1") for _ in range(8)]
    assert len({answer.origin for answer in answers}) == 4
    assert len({cookie_of(answer) for answer in answers}) == 4
    wait_for_counts(balancer, [0, 8, 0, 0])


def test_every_balancer_with_the_secret_knows_the_sessions(quoit, origins):
    """Whether it has more endpoints, fewer, or others before them."""
    started = origins(6)
    first = serve(quoit, sticky_pool(started[:4]))
    sessions = [begin_session(first.port) for _ in range(4)]
    for endpoints in (started, started[::-1], started[:4]):
        other = serve(quoit, sticky_pool(endpoints), workers=2)
        for cookie, origin in sessions:
            answer = get(other.port, "/", Cookie=cookie)
            assert (answer.origin, set_cookies(answer)) == (origin, [])


def test_a_session_whose_endpoint_is_gone_begins_again(quoit, origins):
    started = origins(3)
    first = serve(quoit, sticky_pool(started))
    cookie = begin_session_at(first.port, started[0])
    second = serve(quoit, sticky_pool(started[1:]))
    answer = get(second.port, "/", Cookie=cookie)
    again = get(second.port, "/", Cookie=cookie_of(answer))
    assert (again.origin, set_cookies(again)) == (answer.origin, [])
    wait_for_counts(second, [1, 0, 1, 0])


def test_draining_keeps_its_sessions_and_takes_no_new_ones(quoit, origins):
    started = origins(3)
    first = serve(quoit, sticky_pool(started))
    cookie = begin_session_at(first.port, started[0])
    draining = [{"address": started[0].address, "weight": 0},
                *(origin.address for origin in started[1:])]
    second = serve(quoit, sticky_pool(draining))
    for _ in range(5):
        assert get(second.port, "/", Cookie=cookie).origin == started[0].name
    assert started[0].name not in {begin_session(second.port)[1] for _ in range(10)}


# --- cookies that are none ----------------------------------------------------------------------


def changed(value, at):
    return value[:at] + ("A" if value[at] != "A" else "B") + value[at + 1:]


def test_a_forged_cookie_gets_a_new_one(quoit, origins):
    """It is as if there were none: requests with it go round robin."""
    balancer = serve(quoit, sticky_pool(origins(2)))
    name, value = begin_session(balancer.port)[0].split("=")
    forged = [changed(value, at) for at in range(len(value))]
    forged += ["", value[:-1], value + "A", value * 2, f'"{value}"', value.lower(), "x" * 4000]
    for i in range(0, len(forged), 2):
        answers = [get(balancer.port, "/", Cookie=f"{name}={text}") for text in forged[i:i + 2]]
        assert all(cookie_of(answer).startswith(f"{name}=") for answer in answers)
        if len(answers) == 2:
            assert len({answer.origin for answer in answers}) == 2
    wait_for_counts(balancer, [0, 1, len(forged), 0])


def test_a_cookie_of_another_name_or_case_is_not_looked_at(quoit, origins):
    balancer = serve(quoit, sticky_pool(origins(2)))
    value = begin_session(balancer.port)[0].split("=")[1]
    for name in ("sid", "SIDE", "XSID", "SI"):
        assert set_cookies(get(balancer.port, "/", Cookie=f"{name}={value}"))
    wait_for_counts(balancer, [0, 5, 0, 0])


def test_a_cookie_of_one_pool_is_worth_nothing_in_another(quoit, origins):
    started = origins(2)
    balancer = quoit({
        "pools": {"web": sticky_pool(started), "api": sticky_pool(started)},
        "routes": [{"path": "/web", "pool": "web"}, {"path": "/api", "pool": "api"}],
    })
    cookie = cookie_of(get(balancer.port, "/web"))
    assert cookie_of(get(balancer.port, "/api", Cookie=cookie)) != cookie


def test_pools_with_cookies_of_their_own_keep_a_browser_each_at_its_endpoint(quoit, origins):
    web, api = origins(3), origins(3)
    balancer = quoit({
        "pools": {"web": sticky_pool(web), "api": sticky_pool(api, sticky={"name": "AID"})},
        "routes": [{"path": "/web", "pool": "web"}, {"path": "/api", "pool": "api"}],
    })
    begun = [get(balancer.port, target) for target in ("/web", "/api")]
    both = "; ".join(cookie_of(answer) for answer in begun)
    assert both.startswith("SID=") and "; AID=" in both
    for _ in range(5):
        for target, first in zip(("/web", "/api"), begun):
            answer = get(balancer.port, target, Cookie=both)
            assert (answer.origin, set_cookies(answer)) == (first.origin, [])


def test_of_several_cookies_of_the_name_the_first_that_is_known_counts(quoit, origins):
    """A browser sends two of them when the path in the configuration has changed."""
    started = origins(2)
    balancer = serve(quoit, sticky_pool(started))
    first, second = (begin_session_at(balancer.port, origin) for origin in started)
    for _ in range(3):
        for fields in (f"Cookie: SID=old; {first}; {second}", f"Cookie: a=1\r\nCookie: {first}",
                       f"Cookie: SID=old\r\nCookie: SID=older; {first}\r\nCookie: {second}"):
            with RawClient(balancer.port) as client:
                client.send(f"GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n".encode())
                head = client.read_until(b"\r\n\r\n").lower()
            assert b"x-origin: origin0\r\n" in head
            assert b"set-cookie" not in head


# --- moving -------------------------------------------------------------------------------------


def test_a_session_moves_once_when_its_endpoint_goes_down(quoit, origins):
    started = origins(3)
    balancer = serve(quoit, sticky_pool(started, health_check=CHECK))
    cookie = begin_session_at(balancer.port, started[0])
    stayed = begin_session_at(balancer.port, started[0])
    started[0].health_status = 503
    wait_until(lambda: balancer.usable("web") == 2)
    answer = get(balancer.port, "/", Cookie=cookie)
    assert answer.origin != started[0].name
    moved = cookie_of(answer)
    for _ in range(3):
        again = get(balancer.port, "/", Cookie=moved)
        assert (again.origin, set_cookies(again)) == (answer.origin, [])
    started[0].health_status = 200
    wait_until(lambda: balancer.usable("web") == 3)
    assert get(balancer.port, "/", Cookie=moved).origin == answer.origin
    assert get(balancer.port, "/", Cookie=stayed).origin == started[0].name
    assert counts(balancer)[3] == 1


def test_with_a_keyed_algorithm_sessions_move_by_their_key(quoit, origins):
    started = origins(8)
    balancer = serve(quoit, sticky_pool(started, algorithm="hash", health_check=CHECK))
    cookie, name = begin_session(balancer.port, "/begin")
    down = next(origin for origin in started if origin.name == name)
    targets = [f"/{i}" for i in range(20)]
    down.health_status = 503
    wait_until(lambda: balancer.usable("web") == 7)
    by_key = [get(balancer.port, target).origin for target in targets]
    moved = [get(balancer.port, target, Cookie=cookie).origin for target in targets]
    assert moved == by_key
    assert len(set(moved)) > 1


def test_a_retry_moves_the_session_to_the_endpoint_that_answers(quoit, origins):
    started = origins(2)
    balancer = serve(quoit, sticky_pool(started))
    cookie = begin_session_at(balancer.port, started[0])
    before = counts(balancer)
    started[0].close()
    answer = get(balancer.port, "/", Cookie=cookie)
    assert (answer.status, answer.origin) == (200, started[1].name)
    moved = cookie_of(answer)
    assert moved != cookie
    answer = get(balancer.port, "/", Cookie=moved)
    assert (answer.origin, set_cookies(answer)) == (started[1].name, [])
    wait_for_counts(balancer, [before[0] + 1, *before[1:3], before[3] + 1])


def test_a_new_session_belongs_to_the_endpoint_that_answered_in_the_end(quoit, origins):
    started = origins(2)
    balancer = serve(quoit, sticky_pool(started))
    expected = begin_session_at(balancer.port, started[1])
    started[0].close()
    for _ in range(4):
        assert begin_session(balancer.port) == (expected, started[1].name)


def test_sessions_stay_while_instances_come_and_go(quoit, consul, origins):
    """Each begins again once, when its own instance is gone, and never otherwise."""
    started = origins(4)
    for origin in started[:3]:
        consul.register("web", origin.name, origin.port)
    balancer = quoit({
        "pools": {"web": {"service": "web", "algorithm": "round_robin",
                          "sticky": {"name": "SID", "secret": SECRET}}},
        "consul": {"address": consul.url},
    })
    wait_until(lambda: balancer.usable("web") == 3)
    sessions = {origin.name: begin_session_at(balancer.port, origin) for origin in started[:3]}

    def stay(names):
        for name in names:
            answer = get(balancer.port, "/", Cookie=sessions[name])
            assert (answer.origin, set_cookies(answer)) == (name, [])

    consul.register("web", started[3].name, started[3].port)
    wait_until(lambda: balancer.usable("web") == 4)
    stay(sessions)
    consul.deregister(started[0].name)
    wait_until(lambda: balancer.usable("web") == 3)
    stay([started[1].name, started[2].name])
    moved = get(balancer.port, "/", Cookie=sessions[started[0].name])
    assert moved.origin != started[0].name
    sessions = {started[1].name: sessions[started[1].name], moved.origin: cookie_of(moved)}
    stay(sessions)
    consul.register("web", started[0].name, started[0].port)
    wait_until(lambda: balancer.usable("web") == 4)
    stay(sessions)
    consul.maintain(True, started[1].name)
    wait_until(lambda: balancer.usable("web") == 3)
    assert get(balancer.port, "/", Cookie=sessions[started[1].name]).origin != started[1].name


# --- the fields ---------------------------------------------------------------------------------


@pytest.mark.parametrize("sticky, attributes", [
    ({}, "; Path=/; HttpOnly; SameSite=Lax"),
    ({"http_only": False, "same_site": "strict"}, "; Path=/; SameSite=Strict"),
    ({"path": "/app", "domain": "Example.com", "max_age": "2h", "secure": True,
      "same_site": "none"},
     "; Path=/app; Domain=example.com; Max-Age=7200; Secure; HttpOnly; SameSite=None"),
])
def test_the_cookie_has_the_configured_attributes(quoit, origins, sticky, attributes):
    balancer = serve(quoit, sticky_pool(origins(1), sticky=sticky))
    [cookie] = set_cookies(get(balancer.port, "/app"))
    assert re.fullmatch(r"SID=[A-Za-z0-9_-]{32}" + re.escape(attributes), cookie)


def test_an_endpoints_own_cookies_stay(quoit, origins):
    [origin] = origins(1)
    origin.behaviour = lambda request: Response(fields=[("Set-Cookie", "a=1"),
                                                        ("Set-Cookie", "b=2")])
    balancer = serve(quoit, sticky_pool([origin]))
    cookies = set_cookies(get(balancer.port, "/"))
    assert cookies[:2] == ["a=1", "b=2"]
    assert len(cookies) == 3


@pytest.mark.parametrize("status", [200, 204, 301, 304, 404, 500, 503])
def test_every_final_response_of_an_endpoint_sets_it(quoit, origins, status):
    balancer = serve(quoit, sticky_pool(origins(1)))
    with Client(balancer.port) as client:
        for method in ("GET", "HEAD", "POST"):
            answer = client.ask(method, f"/?status={status}")
            assert answer.status == status
            assert cookie_of(answer).startswith("SID=")


def test_streamed_responses_and_old_clients_get_it_too(quoit, origins):
    balancer = serve(quoit, sticky_pool(origins(1)))
    answer = get(balancer.port, "/?chunked=1&bytes=300000")
    assert len(answer.body) == 300000
    with RawClient(balancer.port) as client:
        client.send(b"GET /?chunked=1 HTTP/1.0\r\n\r\n")
        assert f"Set-Cookie: {cookie_of(answer)};".encode() in client.read_to_end()


def test_interim_responses_set_no_cookie(scripted):
    def script(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + reply())

    port, _ = scripted(script, sticky="SID")
    with RawClient(port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"set-cookie" not in client.read_until(b"\r\n\r\n").lower()
        assert client.read_until(b"\r\n\r\n").lower().count(b"\r\nset-cookie: sid=") == 1


def test_a_tunnel_follows_a_cookie_and_sets_none(scripted):
    def script(connection):
        head = connection.read_head()
        if b"Upgrade" in head:
            connection.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
                            b"Upgrade: echo\r\n\r\n%d" % connection.sock.getsockname()[1])
        else:
            connection.send(reply(b"%d" % connection.sock.getsockname()[1]))

    port, _ = scripted(script, n_endpoints=4, sticky="SID", algorithm="round_robin")
    answer = get(port, "/")
    with_cookie = f"Cookie: {cookie_of(answer)}\r\n".encode()
    for cookie in (b"", with_cookie, with_cookie, with_cookie):
        with RawClient(port) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n"
                        + cookie + b"\r\n")
            head = client.read_until(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101 ")
            assert b"set-cookie" not in head.lower()
            if cookie:
                assert client.read_to_end() == answer.body


def test_quoits_own_answers_set_no_cookie(quoit, origins):
    [origin] = origins(1)
    balancer = serve(quoit, sticky_pool([origin]))
    cookie, _ = begin_session(balancer.port)
    origin.close()
    for fields in ({}, {"Cookie": cookie}, {"Cookie": "SID=forged"}):
        answer = get(balancer.port, "/", **fields)
        assert (answer.status, set_cookies(answer)) == (502, [])
    with Client(balancer.port) as client:
        client.send("GET", "/", Expect="nonsense")
        answer = client.receive()
        assert (answer.status, set_cookies(answer)) == (417, [])


# --- what endpoints see -------------------------------------------------------------------------


def cookies_seen(balancer, origin, *fields):
    """What Cookie fields the origin gets for these."""
    lines = "".join(f"Cookie: {field}\r\n" for field in fields)
    with RawClient(balancer.port) as client:
        client.send(f"GET / HTTP/1.1\r\nHost: a\r\nAccept: x\r\n{lines}X-Last: y\r\n\r\n".encode())
        assert client.read_until(b"\r\n").startswith(b"HTTP/1.1 200 ")
    request = origin.requests[-1]
    assert (request.header("Accept"), request.header("X-Last")) == ("x", "y")
    return request.values("Cookie")


def test_endpoints_see_the_cookie_as_it_came(quoit, origins):
    [origin] = origins(1)
    balancer = serve(quoit, sticky_pool([origin]))
    cookie, _ = begin_session(balancer.port)
    for field in (cookie, f"a=1;{cookie} ;b=2", "SID=forged"):
        assert cookies_seen(balancer, origin, field) == [field]


def test_with_strip_endpoints_see_the_other_cookies_only(quoit, origins):
    [origin] = origins(1)
    balancer = serve(quoit, sticky_pool([origin], sticky={"strip": True}))
    cookie, _ = begin_session(balancer.port)
    for fields, seen in [
            ([cookie], []),
            ([f"a=1; {cookie}; b=2"], ["a=1; b=2"]),
            ([f"{cookie};a=1;b"], ["a=1; b"]),
            ([f"{cookie}; SID=forged; SID"], []),
            (["a=1;b=2 "], ["a=1;b=2"]),
            (["a=SID=1; SIDE=2; xSID=3"], ["a=SID=1; SIDE=2; xSID=3"]),
            (["a=1", f"b=2; {cookie}", "c=3"], ["a=1", "c=3", "b=2"]),
            ([], []),
    ]:
        assert cookies_seen(balancer, origin, *fields) == seen
    answer = get(balancer.port, "/", Cookie=f"a=1; {cookie}")
    assert set_cookies(answer) == []


def test_a_stripped_cookie_stays_stripped_when_a_request_is_sent_again(quoit, origins):
    started = origins(2)
    balancer = serve(quoit, sticky_pool(started, sticky={"strip": True}))
    cookie = begin_session_at(balancer.port, started[0])
    started[0].close()
    answer = get(balancer.port, "/", Cookie=f"a=1; {cookie}")
    assert answer.origin == started[1].name
    assert started[1].requests[-1].values("Cookie") == ["a=1"]


# --- secrets ------------------------------------------------------------------------------------


def test_without_a_secret_cookies_die_with_the_process_and_the_log_says_so(quoit, origins):
    pool = static_pool(origins(2), algorithm="round_robin", sticky="SID")
    first, second = serve(quoit, pool), serve(quoit, pool)
    cookie, origin = begin_session(first.port)
    assert get(first.port, "/", Cookie=cookie).origin == origin
    assert cookie_of(get(second.port, "/", Cookie=cookie)) != cookie
    [event] = first.events("sticky_secret_random")
    assert (event["level"], event["pool"], event["cookie"]) == ("WARN", "web", "SID")


def test_a_secret_from_a_file_is_the_same_secret(quoit, origins, tmp_path):
    started = origins(3)
    path = tmp_path / "secret"
    path.write_text(SECRET + "\n")
    from_file = serve(quoit, static_pool(
        started, sticky={"name": "SID", "secret_file": str(path)}))
    cookie, origin = begin_session(serve(quoit, sticky_pool(started)).port)
    answer = get(from_file.port, "/", Cookie=cookie)
    assert (answer.origin, set_cookies(answer)) == (origin, [])
    assert from_file.events("sticky_secret_random") == []


def test_a_secret_is_never_told(quoit, origins):
    started = origins(2)
    balancer = serve(quoit, sticky_pool(started))
    cookie, _ = begin_session(balancer.port)
    get(balancer.port, "/", Cookie=cookie)
    assert balancer.wait_access(2)
    for text in (balancer.log(), json.dumps(balancer.access()), balancer.metrics().text):
        assert SECRET not in text
    value = cookie.split("=")[1]
    assert value not in balancer.log()
    assert asked(started) == 2


def test_a_wrong_secret_is_refused_without_being_shown(tmp_path):
    path = tmp_path / "quoit.yaml"
    secret = tmp_path / "secret"
    secret.write_text("too short\n")
    path.write_text(f"""
listeners: "127.0.0.1:1"
pools:
  web: {{ endpoints: "127.0.0.1:2", sticky: {{ name: SID, secret: too short }} }}
  api: {{ endpoints: "127.0.0.1:2", sticky: {{ name: SID, secret_file: {secret} }} }}
  old: {{ endpoints: "127.0.0.1:2", sticky: {{ name: SID, secret_file: {secret}.old }} }}
routes: {{ pool: web }}
""")
    for command in (["check", path], ["serve", "--config", path]):
        result = run_quoit(*command)
        assert result.returncode == 1
        assert result.stderr.splitlines() == [
            f"{path}:4:65: pools.web.sticky.secret: found fewer bytes, expected 16 to 4096",
            f"{path}:5:70: pools.api.sticky.secret_file: found a file of fewer bytes, "
            "expected 16 to 4096",
            f"{path}:6:70: pools.old.sticky.secret_file: cannot be read: "
            "No such file or directory",
        ]
