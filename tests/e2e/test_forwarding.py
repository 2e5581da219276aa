"""What endpoints are told of the client, who is believed about it, and what requests are called."""
import re
import socket

import pytest

from http_client import RawClient, raw
from scripted import reply, values_of

TRUST = {"client": {"trusted_proxies": ["127.0.0.1", "::1"]}}
TRACEPARENT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ID = re.compile(rb"[0-9a-f]{32}")


def request(*fields, line=b"GET / HTTP/1.1", host=b"a.example:8000"):
    return b"\r\n".join([line, b"Host: " + host, *fields, b"Connection: close", b"", b""])


def answer_each(connection):
    while True:
        connection.read_head()
        connection.send(reply(fields=[b"X-Request-Id: the-endpoints"]))


@pytest.fixture
def forward(scripted):
    """forward(configuration) starts a balancer; what it returns sends a request and gives a
    function from a name to the values that the endpoint got in fields of that name."""
    def start(configuration=None, **pool):
        port, origin = scripted(answer_each, configuration, **pool)

        def send(*fields, **more):
            before = len(origin.received)
            answer = raw(port, request(*fields, **more))
            assert answer.startswith(b"HTTP/1.1 200 "), answer
            head = origin.received[before:]
            return lambda name: values_of(head, name)
        send.port, send.origin = port, origin
        return send
    return start


def family(**more):
    return {"forwarded_headers": more}


# --- who the client is ----------------------------------------------------------------------------

CLAIMS = [b"X-Forwarded-For: 192.0.2.1", b"x-forwarded-for: 192.0.2.2", b"X-Forwarded-Proto: https",
          b"X-Forwarded-Host: claimed.example", b"X-Forwarded-Port: 443",
          b"Forwarded: for=192.0.2.1;proto=https", b"forwarded: for=192.0.2.2"]
NAMES = [b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port",
         b"forwarded"]


@pytest.mark.parametrize("mode", ["replace", "append", "pass"])
def test_nobody_is_believed_unless_trusted(forward, mode):
    send = forward(family(mode=mode, family="both"))
    got = send(*CLAIMS)
    assert got(b"x-forwarded-for") == [b"127.0.0.1"]
    assert got(b"x-forwarded-proto") == [b"http"]
    assert got(b"x-forwarded-host") == [b"a.example:8000"]
    assert got(b"x-forwarded-port") == [b"%d" % send.port]
    assert got(b"forwarded") == [b'for=127.0.0.1;host="a.example:8000";proto=http']


@pytest.mark.parametrize("chosen, absent", [
    ("x_forwarded", [b"forwarded"]), ("forwarded", NAMES[:4]), ("none", NAMES)])
def test_a_family_that_is_not_chosen_is_not_let_through_either(forward, chosen, absent):
    got = forward(family(family=chosen))(*CLAIMS)
    for name in NAMES:
        assert len(got(name)) == (name not in absent), name


def test_by_default_a_trusted_proxy_is_continued(forward):
    got = forward(TRUST)(*CLAIMS)
    assert got(b"x-forwarded-for") == [b"192.0.2.1, 192.0.2.2, 127.0.0.1"]
    assert got(b"x-forwarded-proto") == [b"https"]
    assert got(b"x-forwarded-host") == [b"claimed.example"]
    assert got(b"x-forwarded-port") == [b"443"]
    assert got(b"forwarded") == [b"for=192.0.2.1;proto=https", b"for=192.0.2.2"]


def test_what_a_trusted_proxy_leaves_out_is_added(forward):
    send = forward(TRUST)
    got = send()
    assert got(b"x-forwarded-for") == [b"127.0.0.1"]
    assert got(b"x-forwarded-proto") == [b"http"]
    assert got(b"x-forwarded-host") == [b"a.example:8000"]
    assert got(b"x-forwarded-port") == [b"%d" % send.port]


def test_forwarded_is_continued_too(forward):
    got = forward({**TRUST, **family(family="forwarded")})(*CLAIMS)
    assert got(b"forwarded") == [b"for=192.0.2.1;proto=https, for=192.0.2.2, "
                                 b'for=127.0.0.1;host="a.example:8000";proto=http']
    assert got(b"x-forwarded-for") == [b"192.0.2.1", b"192.0.2.2"]


def test_a_trusted_proxy_can_be_taken_for_any_client(forward):
    got = forward({**TRUST, **family(mode="replace")})(*CLAIMS)
    assert got(b"x-forwarded-for") == [b"127.0.0.1"]
    assert got(b"x-forwarded-proto") == [b"http"]
    assert got(b"forwarded") == []


def test_a_trusted_proxys_word_can_be_passed_as_it_is(forward):
    send = forward({**TRUST, **family(mode="pass", family="both")})
    got = send(*CLAIMS)
    assert got(b"x-forwarded-for") == [b"192.0.2.1", b"192.0.2.2"]
    assert got(b"x-forwarded-port") == [b"443"]
    assert got(b"forwarded") == [b"for=192.0.2.1;proto=https", b"for=192.0.2.2"]
    got = send()
    assert not any(got(name) for name in NAMES)


def test_a_host_that_is_a_token_needs_no_quotes(forward):
    got = forward(family(family="forwarded"))(host=b"a.example")
    assert got(b"forwarded") == [b"for=127.0.0.1;host=a.example;proto=http"]


def test_an_empty_host_is_not_told(forward):
    got = forward(family(family="both"))(host=b"")
    assert got(b"forwarded") == [b"for=127.0.0.1;proto=http"]
    assert got(b"x-forwarded-host") == []


def test_underscores_disguise_nothing(forward):
    got = forward(TRUST)(b"X_Forwarded_For: 192.0.2.9", b"x-forwarded_proto: https",
                         b"X_FORWARDED-HOST: evil.example", b"X_Forwarded_Port: 1",
                         b"X_Forwarded_Other: kept", b"X_Foo_Bar_Baz_Qux: kept")
    for name in (b"x_forwarded_for", b"x-forwarded_proto", b"x_forwarded-host",
                 b"x_forwarded_port"):
        assert got(name) == [], name
    assert got(b"x_forwarded_other") == got(b"x_foo_bar_baz_qux") == [b"kept"]


def test_connection_takes_away_nothing_that_is_added_or_vouched_for(forward):
    send = forward({**TRUST, **family(family="both"), "traceparent": "start"})
    options = b", ".join([*NAMES, b"x-request-id", b"traceparent", b"tracestate", b"via", b"host",
                          b"authorization", b"content-length", b"transfer-encoding"])
    got = send(b"Connection: " + options, *CLAIMS, b"traceparent: " + TRACEPARENT,
               b"tracestate: a=b", b"Authorization: Basic x", b"X-Request-Id: mine",
               b"Content-Length: 0")
    assert got(b"x-forwarded-for") == [b"192.0.2.1, 192.0.2.2, 127.0.0.1"]
    assert got(b"x-forwarded-proto") == [b"https"]
    assert len(got(b"forwarded")) == 1
    assert got(b"traceparent") == [TRACEPARENT] and got(b"tracestate") == [b"a=b"]
    assert got(b"authorization") == [b"Basic x"]
    assert got(b"host") == [b"a.example:8000"]
    assert got(b"content-length") == [b"0"]
    assert got(b"via") == [b"1.1 quoit"]
    [name] = got(b"x-request-id")
    assert ID.fullmatch(name)


# --- what a request is called ---------------------------------------------------------------------


def test_every_request_gets_a_name_of_its_own_and_the_log_has_it(forward):
    send = forward()
    names = [name for _ in range(20) for name in send()(b"x-request-id")]
    assert len(set(names)) == 20 and all(ID.fullmatch(name) for name in names)
    lines = send.origin.balancer.wait_access(20)
    assert [line["request_id"].encode() for line in lines] == names


@pytest.mark.parametrize("name", [
    b"a", b"123e4567-e89b-12d3-a456-426614174000", b"Root=1-67891233-abcdef:x/y@z", b"x" * 128])
def test_a_valid_name_is_passed_on_from_anyone(forward, name):
    send = forward()
    assert send(b"x-request-ID: " + name)(b"x-request-id") == [name]
    assert send.origin.balancer.wait_access(1)[0]["request_id"] == name.decode()


@pytest.mark.parametrize("fields", [
    [b"X-Request-Id: "], [b"X-Request-Id: a b"], [b"X-Request-Id: a\"b"],
    [b"X-Request-Id: ${jndi:ldap://evil.example}"], [b"X-Request-Id: " + b"x" * 129],
    [b"X-Request-Id: \xc3\xa4"], [b"X-Request-Id: a,b"], [b"X-Request-Id: a", b"X-Request-Id: b"],
    [b"X-Request-Id: a", b"X-Request-Id: a"]])
def test_an_invalid_name_is_replaced(forward, fields):
    [name] = forward()(*fields)(b"x-request-id")
    assert ID.fullmatch(name)


def test_a_name_can_always_be_ours(forward):
    send = forward({"request_id": "create"})
    [name] = send(b"X-Request-Id: theirs")(b"x-request-id")
    assert ID.fullmatch(name)


def test_names_can_be_turned_off(forward):
    send = forward({"request_id": {"mode": "off", "to_client": True}})
    assert send()(b"x-request-id") == []
    assert send(b"X-Request-Id: a \"b\"")(b"x-request-id") == [b"a \"b\""]
    assert "request_id" not in send.origin.balancer.wait_access(1)[0]


def test_the_field_can_have_another_name(forward):
    send = forward({"request_id": {"header": "X-Correlation-Id"}})
    got = send(b"x-correlation-id: mine", b"X-Request-Id: \"other\"")
    assert got(b"x-correlation-id") == [b"mine"]
    assert got(b"x-request-id") == [b"\"other\""]


def test_the_client_learns_the_name_only_if_asked_to(forward):
    send = forward()
    assert values_of(raw(send.port, request()), b"x-request-id") == [b"the-endpoints"]
    send = forward({"request_id": {"to_client": True}})
    assert values_of(raw(send.port, request(b"X-Request-Id: mine")), b"x-request-id") == [b"mine"]
    [name] = values_of(raw(send.port, request()), b"x-request-id")
    assert values_of(send.origin.received, b"x-request-id")[0] == b"mine"
    assert name in send.origin.received and ID.fullmatch(name)


def test_answers_of_quoits_own_carry_the_name_too(quoit):
    balancer = quoit({"pools": {"web": {"endpoints": [{"address": "127.0.0.1:9", "weight": 0}]}},
                      "request_id": {"to_client": True}})
    answer = raw(balancer.port, request(b"X-Request-Id: mine"))
    assert answer.startswith(b"HTTP/1.1 503 ") and values_of(answer, b"x-request-id") == [b"mine"]
    answer = raw(balancer.port, b"BAD\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ") and values_of(answer, b"x-request-id") == []


def test_another_attempt_keeps_the_name(scripted):
    def script(connection):
        connection.read_head()
        if connection.number > 0:
            connection.send(reply())

    port, origin = scripted(script, {"traceparent": "start"}, n_endpoints=2)
    assert raw(port, request()).startswith(b"HTTP/1.1 200 ")
    heads = [connection.received for connection in origin.connections]
    assert len(heads) == 2
    for name in (b"x-request-id", b"traceparent"):
        assert values_of(heads[0], name) == values_of(heads[1], name) != []


def test_a_passed_name_survives_a_body_that_outgrows_the_buffer(scripted):
    def script(connection):
        connection.read_head()
        connection.read_exactly(300000)
        connection.send(reply())

    port, origin = scripted(script)
    with RawClient(port) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nX-Request-Id: mine\r\ntraceparent: "
                    + TRACEPARENT + b"\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300000)
        client.read_until(b"\r\n\r\nok")
    [line] = origin.balancer.wait_access(1)
    assert (line["request_id"], line["trace_id"]) == ("mine", TRACEPARENT[3:35].decode())


# --- traces ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["pass", "start"])
def test_a_valid_trace_goes_on_unchanged(forward, mode):
    send = forward({"traceparent": mode})
    got = send(b"Traceparent: " + TRACEPARENT, b"tracestate: a=1", b"tracestate: b=2")
    assert got(b"traceparent") == [TRACEPARENT]
    assert got(b"tracestate") == [b"a=1", b"b=2"]
    assert send.origin.balancer.wait_access(1)[0]["trace_id"] == TRACEPARENT[3:35].decode()
    later = b"01" + TRACEPARENT[2:] + b"-more"
    assert send(b"traceparent: " + later)(b"traceparent") == [later]


INVALID = {
    "upper case": [b"traceparent: " + TRACEPARENT.upper()],
    "version ff": [b"traceparent: ff" + TRACEPARENT[2:]],
    "longer": [b"traceparent: " + TRACEPARENT + b"-00"],
    "no trace": [b"traceparent: 00-" + b"0" * 32 + TRACEPARENT[35:]],
    "no parent": [b"traceparent: " + TRACEPARENT[:36] + b"0" * 16 + b"-01"],
    "twice": [b"traceparent: " + TRACEPARENT] * 2,
    "missing": [],
}


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_trace_is_dropped_with_its_state(forward, name):
    send = forward()
    got = send(*INVALID[name], b"tracestate: a=1")
    assert got(b"traceparent") == got(b"tracestate") == []
    assert "trace_id" not in send.origin.balancer.wait_access(1)[0]


@pytest.mark.parametrize("name", INVALID)
def test_a_trace_begins_here_where_there_is_no_valid_one(forward, name):
    send = forward({"traceparent": "start"})
    got = send(*INVALID[name], b"tracestate: a=1")
    [value] = got(b"traceparent")
    match = re.fullmatch(rb"00-([0-9a-f]{32})-[0-9a-f]{16}-01", value)
    assert match and match[1] != TRACEPARENT[3:35] and got(b"tracestate") == []
    assert send.origin.balancer.wait_access(1)[0]["trace_id"].encode() == match[1]


def test_traces_can_be_left_alone(forward):
    send = forward({"traceparent": "off"})
    got = send(b"traceparent: nonsense", b"tracestate: a=1")
    assert got(b"traceparent") == [b"nonsense"] and got(b"tracestate") == [b"a=1"]
    assert "trace_id" not in send.origin.balancer.wait_access(1)[0]


# --- Max-Forwards ---------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [b"OPTIONS", b"TRACE"])
@pytest.mark.parametrize("before, after", [
    (b"1", b"0"), (b"10", b"9"), (b"007", b"6"), (b"9" * 30, b"4294967294")])
def test_max_forwards_counts_down(forward, method, before, after):
    got = forward()(b"Connection: Max-Forwards", b"Max-Forwards: " + before,
                    line=method + b" /a HTTP/1.1")
    assert got(b"max-forwards") == [after]


def test_max_forwards_of_other_methods_is_any_field(forward):
    assert forward()(b"Max-Forwards: 0")(b"max-forwards") == [b"0"]


@pytest.mark.parametrize("line", [b"OPTIONS * HTTP/1.1", b"OPTIONS /a HTTP/1.1"])
def test_options_that_may_go_no_further_are_answered_here(forward, line):
    send = forward()
    answer = raw(send.port, request(b"Max-Forwards: 0", line=line))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    [allowed] = values_of(answer, b"allow")
    assert b"GET" in allowed and b"OPTIONS" in allowed and b"TRACE" not in allowed
    assert answer.endswith(b"\r\n\r\n200 OK: last_hop\n")
    assert send.origin.received == b""


def test_a_trace_that_may_go_no_further_is_not_echoed(forward):
    send = forward()
    answer = raw(send.port, request(b"Max-Forwards: 0", b"Cookie: secret=1",
                                    line=b"TRACE / HTTP/1.1"))
    assert answer.startswith(b"HTTP/1.1 405 ") and b"secret" not in answer
    assert send.origin.received == b""


@pytest.mark.parametrize("fields", [
    [b"Max-Forwards: "], [b"Max-Forwards: -1"], [b"Max-Forwards: 1, 2"], [b"Max-Forwards: 0x1"],
    [b"Max-Forwards: 1", b"Max-Forwards: 1"]])
def test_a_max_forwards_that_is_no_number_is_refused(forward, fields):
    send = forward()
    assert raw(send.port, request(*fields, line=b"OPTIONS / HTTP/1.1")).startswith(b"HTTP/1.1 400 ")
    assert send.origin.received == b""


def test_a_connection_goes_on_after_an_answer_to_options(forward):
    send = forward()
    with RawClient(send.port) as client:
        for _ in range(3):
            client.send(b"OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n")
            client.read_until(b"\r\n\r\n200 OK: last_hop\n")


# --- Upgrade, TE ----------------------------------------------------------------------------------


@pytest.mark.parametrize("offered", [b"h2c", b"H2C", b"x-test, h2c", b"h2c-14 , x-test"])
def test_an_upgrade_to_http_2_is_not_passed_on(forward, offered):
    got = forward()(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: " + offered,
                    b"HTTP2-Settings: AAMAAABkAAQAAP__")
    assert got(b"upgrade") == got(b"http2-settings") == got(b"connection") == []


def test_a_426_says_what_it_wants(scripted):
    def script(connection):
        connection.read_head()
        connection.send(reply(line=b"HTTP/1.1 426 Upgrade Required",
                              fields=[b"Upgrade: x-test/2", b"Connection: Upgrade"]))
        connection.read_to_end()

    port, _ = scripted(script)
    answer = raw(port, request())
    assert answer.startswith(b"HTTP/1.1 426 ")
    assert values_of(answer, b"upgrade") == [b"x-test/2"]
    assert [v.lower() for v in values_of(answer, b"connection")] == [b"upgrade", b"close"]


def test_trailers_are_asked_for_on_behalf_of_the_client(forward):
    send = forward()
    got = send(b"TE: gzip;q=0.5, trailers")
    assert got(b"te") == [b"trailers"] and got(b"connection") == [b"TE"]
    assert send(b"TE: gzip")(b"te") == []


def test_connect_is_refused_with_a_reason(forward):
    send = forward()
    answer = raw(send.port, b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 405 ") and b"method_refused" in answer
    assert values_of(answer, b"allow")


# --- IPv6 -----------------------------------------------------------------------------------------


def test_an_ipv6_client_is_told_as_each_field_wants_it(quoit, origins):
    [origin] = origins(1)
    with socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        port = probe.getsockname()[1]
    balancer = quoit({"listeners": [{"address": f"[::1]:{port}"}],
                      "pools": {"web": {"endpoints": [origin.address]}},
                      **family(family="both")})
    with RawClient(port, host="::1") as client:
        client.send(request(host=b"[::1]:80"))
        client.read_to_end()
    [got] = origin.requests
    assert got.header("x-forwarded-for") == "::1"
    assert got.header("forwarded") == 'for="[::1]";host="[::1]:80";proto=http'
    assert balancer.wait_access(1)[0]["client"] == "::1"
