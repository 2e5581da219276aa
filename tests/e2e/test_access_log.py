"""The access log: one line a request, in both formats, with what became of it."""
import calendar
import re
import signal
import time

from http_client import Client, RawClient, get, raw
from origins import Response
from quoit_process import static_pool
from waiting import wait_until

COMBINED = re.compile(
    r'127\.0\.0\.1 - - \[(?P<time>\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] '
    r'"(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}) (?P<bytes>\d+) '
    r'"(?P<referer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)" (?P<rest>.*)')


def test_json_lines_tell_what_happened(quoit, origins):
    [origin] = origins(1)
    balancer = quoit({"pools": {"web": static_pool([origin], hash_key="query:id")}})
    begun = time.time()
    get(balancer.port, "/a?id=seven", User_Agent="tester/1", Referer="http://from/")
    [line] = balancer.wait_access(1)
    wanted = {
        "client": "127.0.0.1", "method": "GET", "target": "/a?id=seven", "version": "1.1",
        "host": f"127.0.0.1:{balancer.port}", "status": 200, "reason": "ok", "pool": "web",
        "endpoint": origin.address, "key": "seven", "attempts": 1, "bytes_in": 0,
        "bytes_out": len("origin0 GET /a?id=seven\n"), "referer": "http://from/",
        "user_agent": "tester/1",
    }
    assert {name: line.get(name) for name in wanted} == wanted
    assert 0 < line["response_us"] <= line["total_us"] < 10e6
    when = time.strptime(line["time"][:19], "%Y-%m-%dT%H:%M:%S")
    assert line["time"].endswith("Z") and abs(calendar.timegm(when) - begun) < 5


def test_combined_lines_are_what_web_servers_write(quoit, origins):
    [origin] = origins(1)
    balancer = quoit({"pools": {"web": static_pool([origin])},
                      "log": {"access_format": "combined"}})
    get(balancer.port, "/a", User_Agent='say "hi"', Referer="http://from/")
    [line] = balancer.wait_access(1)
    match = COMBINED.fullmatch(line)
    assert match, line
    assert match["request"] == "GET /a HTTP/1.1"
    assert (match["status"], match["bytes"]) == ("200", str(len("origin0 GET /a\n")))
    assert match["referer"] == "http://from/"
    assert match["agent"] == r"say \"hi\""
    assert f"endpoint={origin.address}" in match["rest"] and "reason=ok" in match["rest"]


def test_every_request_of_a_connection_has_its_line(quoit, origins):
    balancer = quoit({"pools": {"web": static_pool(origins(2))}})
    with Client(balancer.port) as client:
        statuses = [client.get(f"/{i}?status={status}").status
                    for i, status in enumerate([200, 404, 500, 204, 301] * 4)]
        client.ask("POST", "/post", b"x" * 5000)
    lines = balancer.wait_access(21)
    assert [line["status"] for line in lines] == [*statuses, 200]
    assert (lines[-1]["method"], lines[-1]["bytes_in"]) == ("POST", 5000)
    assert {line["reason"] for line in lines} == {"ok"}


def test_refused_requests_are_logged_with_their_reason(quoit, origins):
    balancer = quoit({
        "pools": {"web": static_pool(origins(1)), "dead": static_pool(["127.0.0.1:1"], retries=0)},
        "routes": [{"path": "/web", "pool": "web"}, {"path": "/dead", "pool": "dead"}],
        "client": {"max_target_size": "100b"},
        "workers": 1,  # so that lines keep the order of the requests
    })
    raw(balancer.port, b"nonsense\r\n\r\n")
    assert get(balancer.port, "/nowhere").status == 404
    assert get(balancer.port, "/dead").status == 502
    assert get(balancer.port, "/web/" + "x" * 200).status == 414
    lines = balancer.wait_access(4)
    assert [(line["status"], line["reason"]) for line in lines] == [
        (400, "bad_request"), (404, "no_route"), (502, "connect_refused"),
        (414, "target_too_long"),
    ]
    assert "endpoint" not in lines[1] and lines[2]["endpoint"] == "127.0.0.1:1"


def test_a_client_that_leaves_is_logged(quoit, origins):
    [origin] = origins(1)
    balancer = quoit({"pools": {"web": static_pool([origin])}})
    with RawClient(balancer.port) as client:
        client.send(b"GET /slow?delay=3 HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: origin.requests)
        client.reset()
    [line] = balancer.wait_access(1)
    assert (line["status"], line["reason"]) == (0, "client_gone")


def test_a_retried_request_is_one_line_with_two_attempts(quoit, origins):
    good, bad = origins(2)
    bad.raw_behaviour = lambda connection, request: False
    balancer = quoit({"pools": {"web": static_pool([good, bad])}})
    for i in range(40):
        assert get(balancer.port, f"/{i}").status == 200
    lines = balancer.wait_access(40)
    assert {line["attempts"] for line in lines} == {1, 2}
    assert {line["endpoint"] for line in lines} == {good.address}


def test_what_a_client_sends_cannot_forge_a_line(quoit, origins):
    [origin] = origins(1)
    balancer = quoit({"pools": {"web": static_pool([origin])}})
    agent = 'x"} {"status": 200, "target": "/forged\t\xff'
    get(balancer.port, "/%0a%22quoted", User_Agent=agent)
    [line] = balancer.wait_access(1)
    assert line["target"] == "/%0a%22quoted"
    assert line["user_agent"].startswith('x"} {"status": 200')


def test_sigusr1_reopens_the_file(quoit, origins):
    balancer = quoit({"pools": {"web": static_pool(origins(1))}})
    get(balancer.port, "/before")
    balancer.wait_access(1)
    rotated = balancer.access_path.with_suffix(".old")
    balancer.access_path.rename(rotated)
    balancer.signal(signal.SIGUSR1)
    wait_until(balancer.access_path.exists, 5, "a new file")
    get(balancer.port, "/after")
    assert [line["target"] for line in balancer.wait_access(1)] == ["/after"]
    assert "/before" in rotated.read_text() and "/after" not in rotated.read_text()


def test_lines_are_complete_when_the_program_has_ended(quoit, origins):
    [origin] = origins(1)
    origin.behaviour = lambda request: Response(200, b"x")
    balancer = quoit({"pools": {"web": static_pool([origin])}})
    with Client(balancer.port) as client:
        for i in range(300):
            client.get(f"/{i}")
    assert balancer.stop() == 0
    assert [line["target"] for line in balancer.access()] == [f"/{i}" for i in range(300)]
