#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>

#include "balancer/http/h1.h"
#include "tests/unit/h1_feed.h"

static const struct h1_limits limits = {.head_bytes = 16384, .target_bytes = 4096, .fields = 100};

/* Parses whole, byte by byte and at every split; all must agree. */
static enum h1_status parse_with(struct span message, const struct h1_limits *by,
                                 struct h1_request *ret_request)
{
    struct feed feed = {parse_request, message};
    static struct request_state state; /* the fields of what is returned */
    request_state_init(&state, by);
    enum h1_status status = feed_whole(&feed, &state);
    size_t step = message.n > 2000 ? 61 : 1;
    for (size_t at = 0; at < message.n; at += step)
        if (!request_agrees(message, by, at, status, &state.request))
            fail_msg("split at %zu differs: %.*s", at, (int)message.n, (const char *)message.p);
    *ret_request = state.request;
    return status;
}

static void expect_error(struct span message, enum reason reason)
{
    struct h1_request request;
    enum h1_status status = parse_with(message, &limits, &request);
    if (status != H1_ERROR || request.reason != reason)
        fail_msg("expected %s, got status %d, %s: %.*s", reason_word(reason), (int)status,
                 reason_word(request.reason), (int)message.n, (const char *)message.p);
}

static void expect_done(struct span message, struct h1_request *ret_request)
{
    enum h1_status status = parse_with(message, &limits, ret_request);
    if (status != H1_DONE)
        fail_msg("expected done, got status %d, %s: %.*s", (int)status,
                 reason_word(ret_request->reason), (int)message.n, (const char *)message.p);
}

static void assert_range(const char *message, struct h1_range range, const char *expected)
{
    struct span is = {(const uint8_t *)message + range.at, range.n};
    if (!span_equal(is, span_of(expected)))
        fail_msg("expected '%s', got '%.*s' in %s", expected, (int)is.n, (const char *)is.p,
                 message);
}

static void test_a_browsers_request_is_taken_apart(void **state)
{
    (void)state;
    const char *text = "GET /a/b.html?x=1&y=%20?z HTTP/1.1\r\n"
                       "Host: www.example.com:8080\r\n"
                       "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:109.0)\r\n"
                       "Accept:*/*\r\n"
                       "Accept-Language: \t de, en;q=0.5 \t\r\n"
                       "X-Empty:\r\n"
                       "X-Blank:  \t \r\n"
                       "X-Obs: \xc3\xa4\xff\x80\r\n"
                       "cOOKIE: a=b; c=\"d\"\r\n"
                       "\r\n";
    struct h1_request request;
    expect_done(span_of(text), &request);
    assert_int_equal(request.head_n, strlen(text));
    assert_int_equal(request.method, H1_GET);
    assert_int_equal(request.minor, 1);
    assert_range(text, request.method_text, "GET");
    assert_range(text, request.target, "/a/b.html?x=1&y=%20?z");
    assert_range(text, request.path, "/a/b.html");
    assert_range(text, request.query, "x=1&y=%20?z");
    assert_range(text, request.authority, "www.example.com:8080");
    assert_false(request.is_absolute_form);
    assert_false(request.expects_continue);
    assert_false(request.accepts_trailers);
    assert_true(request.framing.keep_alive);
    assert_false(request.framing.has_upgrade);
    assert_int_equal(request.framing.body, H1_BODY_NONE);

    static const struct {
        const char *name, *value;
        enum h1_field_id id;
    } expected[] = {
        {"Host", "www.example.com:8080", H1_HOST},
        {"User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:109.0)", H1_USER_AGENT},
        {"Accept", "*/*", H1_OTHER},
        {"Accept-Language", "de, en;q=0.5", H1_OTHER},
        {"X-Empty", "", H1_OTHER},
        {"X-Blank", "", H1_OTHER},
        {"X-Obs", "\xc3\xa4\xff\x80", H1_OTHER},
        {"cOOKIE", "a=b; c=\"d\"", H1_COOKIE},
    };
    assert_int_equal(request.lines.n_fields, 8);
    for (size_t i = 0; i < 8; i++) {
        const struct h1_field *field = &request.lines.fields[i];
        const uint8_t *message = (const uint8_t *)text;
        assert_true(span_equal(h1_field_name(field, message), span_of(expected[i].name)));
        assert_true(span_equal(h1_field_value(field, message), span_of(expected[i].value)));
        assert_int_equal(field->id, expected[i].id);
        assert_false(field->is_hop);
    }
}

static void test_bytes_behind_the_head_are_left_alone(void **state)
{
    (void)state;
    struct h1_request request;
    expect_done(SPAN("GET / HTTP/1.1\r\nHost: a\r\n\r\n\0\nGET bad\n\n"), &request);
    assert_int_equal(request.head_n, 27);
}

static void test_methods_are_known_by_exact_case(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum h1_method method;
        bool is_idempotent;
    } cases[] = {
        {"GET", H1_GET, true},
        {"HEAD", H1_HEAD, true},
        {"POST", H1_POST, false},
        {"PUT", H1_PUT, true},
        {"DELETE", H1_DELETE, true},
        {"TRACE", H1_TRACE, true},
        {"OPTIONS", H1_OPTIONS, true},
        {"PATCH", H1_PATCH, false},
        {"get", H1_METHOD_OTHER, false},
        {"GETS", H1_METHOD_OTHER, false},
        {"GE", H1_METHOD_OTHER, false},
        {"PROPFIND", H1_METHOD_OTHER, false},
        {"M-SEARCH", H1_METHOD_OTHER, false},
        {"!#$%&'*+-.^_`|~09azAZ", H1_METHOD_OTHER, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[128];
        snprintf(text, sizeof(text), "%s / HTTP/1.1\r\nHost: a\r\n\r\n", cases[i].text);
        struct h1_request request;
        expect_done(span_of(text), &request);
        assert_int_equal(request.method, cases[i].method);
        assert_range(text, request.method_text, cases[i].text);
        assert_int_equal(h1_method_is_idempotent(request.method), cases[i].is_idempotent);
    }
    assert_false(h1_method_is_idempotent(H1_CONNECT));
}

static void test_targets_of_every_form_are_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *method, *target, *path, *query, *authority;
        bool is_absolute;
    } cases[] = {
        {"GET", "/", "/", "", "h", false},
        {"GET", "/?", "/", "", "h", false},
        {"GET", "/??", "/", "?", "h", false},
        {"GET", "/a?b", "/a", "b", "h", false},
        {"GET", "//evil.example/x", "//evil.example/x", "", "h", false},
        {"GET", "/http://x/", "/http://x/", "", "h", false},
        {"GET", "/a|b{c}^`\"d", "/a|b{c}^`\"d", "", "h", false},
        {"GET", "/\xc3\xa4?\xff", "/\xc3\xa4", "\xff", "h", false},
        {"GET", "/?a=\\b", "/", "a=\\b", "h", false},
        {"GET", "/%zz%", "/%zz%", "", "h", false},
        {"GET", "/a;b=c,d!$&'()*+:@", "/a;b=c,d!$&'()*+:@", "", "h", false},
        {"OPTIONS", "*", "*", "", "h", false},
        {"OPTIONS", "/", "/", "", "h", false},
        {"GET", "http://a.example/p?q", "/p", "q", "a.example", true},
        {"GET", "HTTP://a.example:80/p", "/p", "", "a.example:80", true},
        {"GET", "hTTpS://[::1]:443/", "/", "", "[::1]:443", true},
        {"GET", "http://a.example", "", "", "a.example", true},
        {"GET", "http://a.example?q=1", "", "q=1", "a.example", true},
        {"OPTIONS", "http://a.example", "", "", "a.example", true},
        {"GET", "http://a.example:", "", "", "a.example:", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[256];
        snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: h\r\n\r\n", cases[i].method,
                 cases[i].target);
        struct h1_request request;
        expect_done(span_of(text), &request);
        assert_range(text, request.target, cases[i].target);
        assert_range(text, request.path, cases[i].path);
        assert_range(text, request.query, cases[i].query);
        assert_range(text, request.authority, cases[i].authority);
        assert_int_equal(request.is_absolute_form, cases[i].is_absolute);
    }
}

static const char *const malformed_targets[] = {
    "",
    "a",
    "a/b",
    "*",
    "**",
    "?",
    "?a",
    "#",
    "/#",
    "/a#b",
    "/?a#b",
    "/a\\b",
    "\\",
    "/<",
    "/>",
    "/?<script>",
    "/\t",
    "/\x7f",
    "/\x01",
    "h",
    "host:80",
    "http:",
    "http:/",
    "http:/a",
    "http://",
    "http:///",
    "http:///a",
    "http://?",
    "http://:80/",
    "http://u@h/",
    "http://u:p@h/",
    "http://@h/",
    "http://h:x/",
    "http://h:65536/",
    "http://h:-1/",
    "http://h:80:80/",
    "http://h#f",
    "http://h/#f",
    "http://h\\/",
    "http://h%/",
    "http://h%0/",
    "http://h%0g/",
    "http://\xc3\xa4/",
    "http://[::1/",
    "http://[]/",
    "http://[::1]x/",
    "http://[g::1]/",
    "http://[1.2.3.4]/",
    "http://[v1.a]/",
    "http://::1/",
    "http//h/",
    "ftp://h/",
    "httpx://h/",
    "ws://h/",
    "javascript:alert(1)",
    "/ /",
    " /",
    "/ ",
    "/a b",
};

static void test_malformed_targets_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(malformed_targets) / sizeof(malformed_targets[0]); i++) {
        char text[256];
        snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", malformed_targets[i]);
        expect_error(span_of(text), REASON_BAD_REQUEST);
    }
    expect_error(SPAN("OPTIONS ** HTTP/1.1\r\nHost: h\r\n\r\n"), REASON_BAD_REQUEST);
    expect_error(SPAN("OPTIONS *?a HTTP/1.1\r\nHost: h\r\n\r\n"), REASON_BAD_REQUEST);
    expect_error(SPAN("GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n"), REASON_BAD_REQUEST);
}

static void test_every_byte_of_a_target_is_allowed_or_refused_as_documented(void **state)
{
    (void)state;
    for (unsigned int c = 0; c < 256; c++) {
        char path[] = "GET /?/ HTTP/1.1\r\nHost: h\r\n\r\n";
        char query[] = "GET /?x HTTP/1.1\r\nHost: h\r\n\r\n";
        path[5] = (char)c;
        query[6] = (char)c;
        bool is_refused = c <= 0x20 || c == 0x7f || c == '#' || c == '<' || c == '>';
        struct h1_request request;
        enum h1_status status = parse_with(span_of(query), &limits, &request);
        if (c != 0) {
            assert_int_equal(status, is_refused ? H1_ERROR : H1_DONE);
            status = parse_with(span_of(path), &limits, &request);
            assert_int_equal(status, is_refused || c == '\\' ? H1_ERROR : H1_DONE);
        }
    }
}

static void test_connect_is_refused_by_method(void **state)
{
    (void)state;
    expect_error(SPAN("CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n"), REASON_METHOD_REFUSED);
    expect_error(SPAN("CONNECT / HTTP/1.1\r\n"), REASON_METHOD_REFUSED);
}

static void test_versions_are_one_dot_something(void **state)
{
    (void)state;
    struct h1_request request;
    expect_done(SPAN("GET / HTTP/1.0\r\n\r\n"), &request);
    assert_int_equal(request.minor, 0);
    expect_done(SPAN("GET / HTTP/1.9\r\nHost: a\r\n\r\n"), &request);
    assert_int_equal(request.minor, 1);

    static const char *const unknown[] = {"HTTP/2.0", "HTTP/0.9", "HTTP/3.1", "HTTP/9.9"};
    for (size_t i = 0; i < 4; i++) {
        char text[64];
        snprintf(text, sizeof(text), "GET / %s\r\nHost: a\r\n\r\n", unknown[i]);
        expect_error(span_of(text), REASON_VERSION_UNKNOWN);
    }
    expect_error(SPAN("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), REASON_VERSION_UNKNOWN);

    static const char *const malformed[] = {
        "",           "HTTP",      "HTTP/",     "HTTP/1",   "HTTP/1.",    "HTTP/11",   "HTTP/1.1 ",
        " HTTP/1.1",  "HTTP/1.10", "HTTP/01.1", "http/1.1", "Http/1.1",   "HTTP/1,1",  "HTTP/1.x",
        "HTTP/x.1",   "HTTP 1.1",  "HTTPS/1.1", "ICY",      "HTTP/1.1\t", "HTTP/+1.1", "HTTP/2",
        "HTTP/1.1 x", "H",         "HTTP/1. 1", "SIP/2.0",  "RTSP/1.0",
    };
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        char text[64];
        snprintf(text, sizeof(text), "GET / %s\r\nHost: a\r\n\r\n", malformed[i]);
        expect_error(span_of(text), REASON_BAD_REQUEST);
    }
}

static const struct span malformed_lines[] = {
    BYTES("\r\n"),
    BYTES("\n"),
    BYTES(" GET / HTTP/1.1\r\n"),
    BYTES("\tGET / HTTP/1.1\r\n"),
    BYTES("GET  / HTTP/1.1\r\n"),
    BYTES("GET\t/ HTTP/1.1\r\n"),
    BYTES("GET / \tHTTP/1.1\r\n"),
    BYTES("GET /  HTTP/1.1\r\n"),
    BYTES("GET /\r\n"),
    BYTES("GET / \r\n"),
    BYTES("GET\r\n"),
    BYTES("GET \r\n"),
    BYTES("/ HTTP/1.1\r\n"),
    BYTES("G:T / HTTP/1.1\r\n"),
    BYTES("G(T / HTTP/1.1\r\n"),
    BYTES("\"GET\" / HTTP/1.1\r\n"),
    BYTES("G\xc3\xa4T / HTTP/1.1\r\n"),
    BYTES("G\0T / HTTP/1.1\r\n"),
    BYTES("GET / HTTP/1.1\n"),
    BYTES("GET / HTTP/1.1\r\r\n"),
    BYTES("GET / HTTP/1.1\r \n"),
    BYTES("GET / HTTP/1.1\rHost: a\r\n"),
    BYTES("GET /\nHTTP/1.1\r\n"),
    BYTES("GET /a\x0b HTTP/1.1\r\n"),
    BYTES("\x16\x03\x01\x02\x00\x01\x00\x01\xfc"),
    BYTES("\x80\x2e\x01\x00\x02 x\r\n"),
    BYTES("\xef\xbb\xbfGET / HTTP/1.1\r\n"),
    BYTES("HTTP/1.1 200 OK\r\n"),
    BYTES("PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n"),
    BYTES("\r\n\r\n\x00\r\nQUIT\n!\x11"),
    BYTES(":\r\n"),
    BYTES("SSH-2.0-OpenSSH_9.2\r\n"),
};

static void test_malformed_request_lines_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(malformed_lines) / sizeof(malformed_lines[0]); i++)
        expect_error(malformed_lines[i], REASON_BAD_REQUEST);
}

/* Each stands behind a good request line and Host, before the empty line. */
static const struct span malformed_fields[] = {
    BYTES("Name : value\r\n"),
    BYTES("Name\t: value\r\n"),
    BYTES(" Name: value\r\n"),
    BYTES("\tName: value\r\n"),
    BYTES("X: a\r\n b\r\n"),
    BYTES("X: a\r\n\tb\r\n"),
    BYTES("X:\r\n a\r\n"),
    BYTES("X: a\r\n \r\n"),
    BYTES(" \r\n"),
    BYTES("\t\r\n"),
    BYTES(": value\r\n"),
    BYTES(":\r\n"),
    BYTES("Name\r\n"),
    BYTES("Name value\r\n"),
    BYTES("Na me: value\r\n"),
    BYTES("Na\0me: value\r\n"),
    BYTES("Na\tme: value\r\n"),
    BYTES("Na(me: value\r\n"),
    BYTES("Na\"me: value\r\n"),
    BYTES("Na@me: value\r\n"),
    BYTES("Na[me]: value\r\n"),
    BYTES("Na{me}: value\r\n"),
    BYTES("Na/me: value\r\n"),
    BYTES("Na=me: value\r\n"),
    BYTES("Na,me: value\r\n"),
    BYTES("Na;me: value\r\n"),
    BYTES("Na\\me: value\r\n"),
    BYTES("N\xc3\xa4me: value\r\n"),
    BYTES("\xc2\xa0X: value\r\n"),
    BYTES("X: a\0b\r\n"),
    BYTES("X: a\x01"
          "b\r\n"),
    BYTES("X: a\x08\r\n"),
    BYTES("X: a\x0b\r\n"),
    BYTES("X: a\x0c\r\n"),
    BYTES("X: a\x1b[0m\r\n"),
    BYTES("X: a\x7f\r\n"),
    BYTES("X: a\n"),
    BYTES("X: a\nY: b\r\n"),
    BYTES("X: a\rY: b\r\n"),
    BYTES("X: a\r\r\n"),
    BYTES("X: a\r \n"),
    BYTES("X: \r"
          "a\r\n"),
    BYTES("\r"
          "X: a\r\n"),
    BYTES("\n"),
    BYTES("\r\r\n"),
    BYTES("X\r: a\r\n"),
    BYTES("X\n: a\r\n"),
    BYTES("GET / HTTP/1.1\r\n"),
};

static void test_malformed_field_lines_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(malformed_fields) / sizeof(malformed_fields[0]); i++) {
        char text[256];
        size_t n = (size_t)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\n");
        n = put(text, put(text, n, malformed_fields[i]), SPAN("\r\n"));
        expect_error((struct span){(uint8_t *)text, n}, REASON_BAD_REQUEST);
    }
}

static void test_every_byte_of_names_and_values_is_allowed_or_refused_by_grammar(void **state)
{
    (void)state;
    for (unsigned int c = 0; c < 256; c++) {
        char in_name[] = "GET / HTTP/1.1\r\nHost: a\r\nX-?-Y: v\r\n\r\n";
        char in_value[] = "GET / HTTP/1.1\r\nHost: a\r\nX: v?v\r\n\r\n";
        in_name[27] = (char)c;
        in_value[29] = (char)c;
        bool is_token = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                        (c >= 'A' && c <= 'Z') ||
                        (c != 0 && c < 128 && strchr("!#$%&'*+-.^_`|~", (int)c) != NULL);
        bool is_text = c == '\t' || (c >= 0x20 && c != 0x7f);
        struct h1_request request;
        struct span name = {(uint8_t *)in_name, sizeof(in_name) - 1};
        struct span value = {(uint8_t *)in_value, sizeof(in_value) - 1};
        /* A colon ends the name: "X-" with the value "-Y: v". */
        assert_int_equal(parse_with(name, &limits, &request),
                         is_token || c == ':' ? H1_DONE : H1_ERROR);
        assert_int_equal(parse_with(value, &limits, &request), is_text ? H1_DONE : H1_ERROR);
    }
}

static void test_errors_are_found_as_soon_as_they_can_be(void **state)
{
    (void)state;
    const struct span messages[] = {
        SPAN("G\n"),
        SPAN("\0"),
        SPAN("GET / HTTP/1.1\r\nX: a\n"),
        SPAN("GET / HTTP/1.1\r\nX: a\x01"),
        SPAN("GET / HTTP/1.1\r\nX: a\rb"),
        SPAN("GET x HTTP/1.1\r\n"),
        SPAN("GET / HTTP/1.1\r\nX : a\r\n"),
        SPAN("GET / HTTP/1.1\r\nHost: a b\r\n"),
        SPAN("GET / HTTP/1.1\r\nContent-Length: x\r\n"),
        SPAN("GET / HTTP/1.1\r\nTransfer-Encoding: chunked, chunked\r\n"),
    };
    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
        struct h1_request request;
        assert_int_equal(parse_with(messages[i], &limits, &request), H1_ERROR);
        struct span shorter = {messages[i].p, messages[i].n - 1};
        assert_int_equal(parse_with(shorter, &limits, &request), H1_MORE);
    }
}

static const char *const good_hosts[] = {
    "",
    "a",
    "a.example",
    "A.Example.",
    "a_b.example",
    "127.0.0.1",
    "127.0.0.1:1",
    "a:0",
    "a:65535",
    "a:",
    "[::1]",
    "[::1]:8080",
    "[fe80::1:2%25]",
    "a%20b",
    "a%0F",
    "a%20",
    "xn--bcher-kva.example",
    "a-b~c!$&'()*+,;=",
    "00080:080",
    "[::ffff:1.2.3.4]:1",
};

static const char *const bad_hosts[] = {
    "a b",
    "a/",
    "/a",
    "a?",
    "a#",
    "u@a",
    "u:p@a",
    "@a",
    ":80",
    ":",
    "a:x",
    "a:80x",
    "a:-1",
    "a:65536",
    "a:99999999999999999999",
    "a::80",
    "::1",
    "[::1",
    "::1]",
    "[]",
    "[]:80",
    "[::1]80",
    "[::1]a",
    "[::1]:x",
    "[a]",
    "[::g]",
    "a[::1]",
    "[[::1]]",
    "a%",
    "a%2",
    "a%2g",
    "a%g2",
    "[0000:0000:0000:0000:0000:ffff:127.127.127.1270]",
    "a\\b",
    "a<b",
    "a\"b",
    "a^b",
    "a`b",
    "a{b}",
    "a|b",
    "\xc3\xa4",
    "a, b",
    "http://a",
    "a\tb",
    "[1.2.3.4]",
    "[::1]]",
    "[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:1]",
};

static void test_host_is_required_once_and_well_formed(void **state)
{
    (void)state;
    struct h1_request request;
    for (size_t i = 0; i < sizeof(good_hosts) / sizeof(good_hosts[0]); i++) {
        char text[128];
        snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost:%s\r\n\r\n", good_hosts[i]);
        if (strchr(good_hosts[i], '%') != NULL && good_hosts[i][0] == '[') {
            expect_error(span_of(text), REASON_BAD_REQUEST); /* no zone identifiers */
            continue;
        }
        expect_done(span_of(text), &request);
        assert_range(text, request.authority, good_hosts[i]);
    }
    for (size_t i = 0; i < sizeof(bad_hosts) / sizeof(bad_hosts[0]); i++) {
        char text[128];
        snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", bad_hosts[i]);
        expect_error(span_of(text), REASON_BAD_REQUEST);
    }
    expect_error(SPAN("GET / HTTP/1.1\r\n\r\n"), REASON_BAD_REQUEST);
    expect_error(SPAN("GET / HTTP/1.1\r\nHosts: a\r\n\r\n"), REASON_BAD_REQUEST);
    expect_error(SPAN("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n"), REASON_BAD_REQUEST);
    expect_error(SPAN("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"), REASON_BAD_REQUEST);
    expect_error(SPAN("GET http://a/ HTTP/1.1\r\n\r\n"), REASON_BAD_REQUEST);
    expect_error(SPAN("GET http://a/ HTTP/1.1\r\nHost: a@b\r\n\r\n"), REASON_BAD_REQUEST);
    expect_error(SPAN("GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), REASON_BAD_REQUEST);

    expect_done(SPAN("GET / HTTP/1.0\r\n\r\n"), &request);
    assert_int_equal(request.authority.n, 0);
}

static void expect_framing(const char *fields, enum h1_body_kind body, uint64_t length)
{
    char text[512];
    snprintf(text, sizeof(text), "POST / HTTP/1.1\r\nHost: a\r\n%s\r\n", fields);
    struct h1_request request;
    expect_done(span_of(text), &request);
    assert_int_equal(request.framing.body, body);
    assert_int_equal(request.framing.has_content_length, body == H1_BODY_LENGTH);
    assert_true(request.framing.content_length == length);
}

static void test_bodies_are_framed_by_length_or_chunks_or_not_there(void **state)
{
    (void)state;
    expect_framing("", H1_BODY_NONE, 0);
    expect_framing("Content-Length: 0\r\n", H1_BODY_LENGTH, 0);
    expect_framing("content-length:5\r\n", H1_BODY_LENGTH, 5);
    expect_framing("CONTENT-LENGTH:\t 007 \r\n", H1_BODY_LENGTH, 7);
    expect_framing("Content-Length: 9223372036854775807\r\n", H1_BODY_LENGTH, INT64_MAX);
    expect_framing("Transfer-Encoding: chunked\r\n", H1_BODY_CHUNKED, 0);
    expect_framing("transfer-encoding:\tChUnKeD\t\r\n", H1_BODY_CHUNKED, 0);
}

static const struct {
    struct span fields;
    enum reason reason;
} ambiguous[] = {
    {BYTES("Content-Length:\r\n"), REASON_BAD_REQUEST},
    {BYTES("Content-Length: x\r\n"), REASON_BAD_REQUEST},
    {BYTES("Content-Length: +5\r\n"), REASON_BAD_REQUEST},
    {BYTES("Content-Length: -5\r\n"), REASON_BAD_REQUEST},
    {BYTES("Content-Length: 5.0\r\n"), REASON_BAD_REQUEST},
    {BYTES("Content-Length: 5e1\r\n"), REASON_BAD_REQUEST},
    {BYTES("Content-Length: 0x5\r\n"), REASON_BAD_REQUEST},
    {BYTES("Content-Length: 5 5\r\n"), REASON_BAD_REQUEST},
    {BYTES("Content-Length: 5,\r\n"), REASON_BAD_REQUEST},
    {BYTES("Content-Length: ,5\r\n"), REASON_BAD_REQUEST},
    {BYTES("Content-Length: 5, 5\r\n"), REASON_BAD_REQUEST},
    {BYTES("Content-Length: 5, 6\r\n"), REASON_BAD_REQUEST},
    {BYTES("Content-Length: \"5\"\r\n"), REASON_BAD_REQUEST},
    {BYTES("Content-Length: 5;a\r\n"), REASON_BAD_REQUEST},
    {BYTES("Content-Length: 5\x0b\r\n"), REASON_BAD_REQUEST},
    {BYTES("Content-Length: \xc2\xa0"
           "5\r\n"),
     REASON_BAD_REQUEST},
    {BYTES("Content-Length: 1_000\r\n"), REASON_BAD_REQUEST},
    {BYTES("Content-Length: 9223372036854775808\r\n"), REASON_BAD_REQUEST},
    {BYTES("Content-Length: 18446744073709551616\r\n"), REASON_BAD_REQUEST},
    {BYTES("Content-Length: 18446744073709551621\r\n"), REASON_BAD_REQUEST},
    {BYTES("Content-Length: 99999999999999999999999999\r\n"), REASON_BAD_REQUEST},
    {BYTES("Content-Length: 5\r\nContent-Length: 5\r\n"), REASON_BAD_REQUEST},
    {BYTES("Content-Length: 5\r\nContent-Length: 6\r\n"), REASON_BAD_REQUEST},
    {BYTES("Content-Length: 0\r\ncontent-length: 0\r\n"), REASON_BAD_REQUEST},
    {BYTES("Content-Length : 5\r\n"), REASON_BAD_REQUEST},
    {BYTES("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), REASON_BAD_REQUEST},
    {BYTES("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), REASON_BAD_REQUEST},
    {BYTES("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"), REASON_BAD_REQUEST},
    {BYTES("Transfer-Encoding: gzip, chunked\r\nContent-Length: 0\r\n"), REASON_BAD_REQUEST},
    {BYTES("Transfer-Encoding:\r\n"), REASON_BAD_REQUEST},
    {BYTES("Transfer-Encoding: ,\r\n"), REASON_BAD_REQUEST},
    {BYTES("Transfer-Encoding: ,chunked\r\n"), REASON_BAD_REQUEST},
    {BYTES("Transfer-Encoding: chunked,\r\n"), REASON_BAD_REQUEST},
    {BYTES("Transfer-Encoding: chunked, chunked\r\n"), REASON_BAD_REQUEST},
    {BYTES("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), REASON_BAD_REQUEST},
    {BYTES("Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n"), REASON_BAD_REQUEST},
    {BYTES("Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n"), REASON_BAD_REQUEST},
    {BYTES("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"), REASON_BAD_REQUEST},
    {BYTES("Transfer-Encoding: identity\r\n"), REASON_BAD_REQUEST},
    {BYTES("Transfer-Encoding: gzip\r\n"), REASON_BAD_REQUEST},
    {BYTES("Transfer-Encoding: chunked, gzip\r\n"), REASON_BAD_REQUEST},
    {BYTES("Transfer-Encoding: xchunked\r\n"), REASON_BAD_REQUEST},
    {BYTES("Transfer-Encoding: chunkedx\r\n"), REASON_BAD_REQUEST},
    {BYTES("Transfer-Encoding: x chunked\r\n"), REASON_BAD_REQUEST},
    {BYTES("Transfer-Encoding: chunked x\r\n"), REASON_BAD_REQUEST},
    {BYTES("Transfer-Encoding: chunked;q=1\r\n"), REASON_BAD_REQUEST},
    {BYTES("Transfer-Encoding: \"chunked\"\r\n"), REASON_BAD_REQUEST},
    {BYTES("Transfer-Encoding: 'chunked'\r\n"), REASON_BAD_REQUEST},
    {BYTES("Transfer-Encoding: chu\xc5\xbfked\r\n"), REASON_BAD_REQUEST},
    {BYTES("Transfer-Encoding: chunked\x0b\r\n"), REASON_BAD_REQUEST},
    {BYTES("Transfer-Encoding: \x0b"
           "chunked\r\n"),
     REASON_BAD_REQUEST},
    {BYTES("Transfer-Encoding: chunked\0\r\n"), REASON_BAD_REQUEST},
    {BYTES("Transfer-Encoding:\r\n chunked\r\n"), REASON_BAD_REQUEST},
    {BYTES("Transfer-Encoding\r\n : chunked\r\n"), REASON_BAD_REQUEST},
    {BYTES("Transfer-Encoding : chunked\r\n"), REASON_BAD_REQUEST},
    {BYTES(" Transfer-Encoding: chunked\r\n"), REASON_BAD_REQUEST},
    {BYTES("X: y\rTransfer-Encoding: chunked\r\n"), REASON_BAD_REQUEST},
    {BYTES("X: y\nTransfer-Encoding: chunked\r\n"), REASON_BAD_REQUEST},
    {BYTES("Transfer-Encoding: gzip, chunked\r\n"), REASON_CODING_UNKNOWN},
    {BYTES("Transfer-Encoding: identity, chunked\r\n"), REASON_CODING_UNKNOWN},
    {BYTES("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"), REASON_CODING_UNKNOWN},
    {BYTES("Transfer-Encoding: xchunked, deflate,\tCHUNKED\r\n"), REASON_CODING_UNKNOWN},
};

static void test_ambiguous_framing_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(ambiguous) / sizeof(ambiguous[0]); i++) {
        char text[512];
        size_t n = (size_t)snprintf(text, sizeof(text), "POST / HTTP/1.1\r\nHost: a\r\n");
        n = put(text, put(text, n, ambiguous[i].fields), SPAN("\r\n"));
        expect_error((struct span){(uint8_t *)text, n}, ambiguous[i].reason);
    }
    expect_error(SPAN("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), REASON_BAD_REQUEST);
}

static void test_fields_that_look_like_framing_are_not(void **state)
{
    (void)state;
    expect_framing("Content_Length: 5\r\nTransfer_Encoding: chunked\r\n", H1_BODY_NONE, 0);
    expect_framing("X-Content-Length: 5\r\nContent-Lengt: 5\r\n", H1_BODY_NONE, 0);
}

static void expect_keep_alive(const char *version, const char *connection, bool is_kept)
{
    char text[256];
    snprintf(text, sizeof(text), "GET / %s\r\nHost: a\r\n%s\r\n", version, connection);
    struct h1_request request;
    expect_done(span_of(text), &request);
    if (request.framing.keep_alive != is_kept)
        fail_msg("keep_alive is wrong: %s", text);
}

static void test_connections_are_kept_as_version_and_options_say(void **state)
{
    (void)state;
    expect_keep_alive("HTTP/1.1", "", true);
    expect_keep_alive("HTTP/1.1", "Connection: close\r\n", false);
    expect_keep_alive("HTTP/1.1", "Connection: CLOSE\r\n", false);
    expect_keep_alive("HTTP/1.1", "Connection: keep-alive\r\n", true);
    expect_keep_alive("HTTP/1.1", "Connection: keep-alive, close\r\n", false);
    expect_keep_alive("HTTP/1.1", "Connection: x\r\nConnection: , ,close\r\n", false);
    expect_keep_alive("HTTP/1.1", "Connection: closed\r\n", true);
    expect_keep_alive("HTTP/1.1", "Connection:\r\n", true);
    expect_keep_alive("HTTP/1.1", "Proxy-Connection: close\r\n", true);
    expect_keep_alive("HTTP/1.0", "", false);
    expect_keep_alive("HTTP/1.0", "Connection: Keep-Alive\r\n", true);
    expect_keep_alive("HTTP/1.0", "Connection: keep-alive, close\r\n", false);
    expect_keep_alive("HTTP/1.0", "Proxy-Connection: keep-alive\r\n", false);
    expect_keep_alive("HTTP/1.0", "Keep-Alive: timeout=5\r\n", false);
}

/* The names of the fields that are to be removed, joined by commas. */
static void expect_hops(const char *fields, const char *expected)
{
    char text[1024], hops[512] = "";
    snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", fields);
    struct h1_request request;
    expect_done(span_of(text), &request);
    size_t n = 0;
    for (uint32_t i = 0; i < request.lines.n_fields; i++) {
        const struct h1_field *field = &request.lines.fields[i];
        if (field->is_hop)
            n += (size_t)snprintf(hops + n, sizeof(hops) - n, "%.*s,", (int)field->name_n,
                                  text + field->name_at);
    }
    assert_string_equal(hops, expected);
}

static void test_hop_by_hop_fields_are_marked(void **state)
{
    (void)state;
    expect_hops("", "");
    expect_hops("Keep-Alive: 5\r\nTE: trailers\r\nUpgrade: x\r\nProxy-Connection: y\r\n"
                "Transfer-Encoding: chunked\r\nHTTP2-Settings: z\r\nTrailer: t\r\n"
                "Proxy-Authorization: a\r\nproxy-authenticate: b\r\nAccept: c\r\n",
                "Keep-Alive,TE,Upgrade,Proxy-Connection,Transfer-Encoding,HTTP2-Settings,"
                "Proxy-Authorization,proxy-authenticate,");
    expect_hops("Connection: close\r\nX: y\r\n", "Connection,");
    expect_hops("X-A: 1\r\nConnection: x-a, X-B\r\nX-C: 3\r\nx-b: 2\r\nX-A: 4\r\n",
                "X-A,Connection,x-b,X-A,");
    expect_hops("Connection: a\r\nA: 1\r\nConnection: b,,\tc\r\nB: 1\r\nC: 1\r\nD: 1\r\n",
                "Connection,A,Connection,B,C,");
    expect_hops("Connection: trailer, date\r\nTrailer: x\r\nDate: y\r\n",
                "Connection,Trailer,Date,");
}

static void test_connection_cannot_remove_what_must_stay(void **state)
{
    (void)state;
    expect_hops("Connection: host, content-length, cookie, via, x-forwarded-for, "
                "x-forwarded-proto, X-Forwarded-Host, x-forwarded-port, Forwarded, authorization, "
                "traceparent, tracestate, max-forwards\r\n"
                "Content-Length: 1\r\nCookie: a=b\r\nVia: 1.1 x\r\nX-Forwarded-For: 1\r\n"
                "X-Forwarded-Proto: http\r\nX-Forwarded-Host: h\r\nX-Forwarded-Port: 1\r\n"
                "Forwarded: for=_x\r\nAuthorization: Basic x\r\ntraceparent: x\r\n"
                "tracestate: y\r\nMax-Forwards: 0\r\n",
                "Connection,");
}

static void test_connection_may_name_64_fields_and_no_more(void **state)
{
    (void)state;
    char text[512] = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close";
    for (int i = 0; i < 64; i++)
        strncat(text, ",x", sizeof(text) - strlen(text) - 1);
    struct h1_request request;
    size_t n = strlen(text);
    put(text, n, SPAN("\r\n\r\n\0"));
    expect_done(span_of(text), &request);
    put(text, n, SPAN(",y\r\n\r\n\0"));
    expect_error(span_of(text), REASON_BAD_REQUEST);
}

static void test_expectations_are_continue_or_refused(void **state)
{
    (void)state;
    struct h1_request request;
    expect_done(SPAN("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n\r\n"), &request);
    assert_true(request.expects_continue);
    expect_done(SPAN("POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\n\r\n"), &request);
    assert_false(request.expects_continue);
    static const char *const others[] = {"", "101", "100-continue, x", "100-continue;q=1",
                                         "200-ok"};
    for (size_t i = 0; i < 5; i++) {
        char text[128];
        snprintf(text, sizeof(text), "POST / HTTP/1.1\r\nHost: a\r\nExpect: %s\r\n\r\n", others[i]);
        expect_error(span_of(text), REASON_EXPECTATION_FAILED);
    }
}

static void test_trailers_are_accepted_when_te_says_so(void **state)
{
    (void)state;
    struct h1_request request;
    expect_done(SPAN("GET / HTTP/1.1\r\nHost: a\r\nTE: deflate;q=0.5, Trailers\r\n\r\n"), &request);
    assert_true(request.accepts_trailers);
    expect_done(SPAN("GET / HTTP/1.1\r\nHost: a\r\nTE: gzip\r\n\r\n"), &request);
    assert_false(request.accepts_trailers);
}

static void test_upgrade_needs_the_connection_option_and_version(void **state)
{
    (void)state;
    struct h1_request request;
    expect_done(SPAN("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
                     "Connection: keep-alive, Upgrade\r\n\r\n"),
                &request);
    assert_true(request.framing.has_upgrade);
    assert_true(request.framing.keep_alive);
    expect_done(SPAN("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n"), &request);
    assert_false(request.framing.has_upgrade);
    expect_done(SPAN("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\r\n"), &request);
    assert_false(request.framing.has_upgrade);
    expect_done(SPAN("GET / HTTP/1.0\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"),
                &request);
    assert_false(request.framing.has_upgrade);
}

/* A request of exactly n bytes, with a long value. */
static char *request_of_size(size_t n)
{
    static const char start[] = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
    char *text = malloc(n + 1);
    memset(text, 'x', n);
    put(text, 0, span_of(start));
    put(text, n - 4, SPAN("\r\n\r\n\0"));
    return text;
}

static void test_a_head_may_fill_its_limit_and_not_pass_it(void **state)
{
    (void)state;
    struct h1_limits small = {.head_bytes = 300, .target_bytes = 100, .fields = 10};
    struct h1_request request;
    char *text = request_of_size(300);
    assert_int_equal(parse_with(span_of(text), &small, &request), H1_DONE);
    free(text);
    for (size_t n = 301; n <= 304; n++) {
        text = request_of_size(n);
        assert_int_equal(parse_with(span_of(text), &small, &request), H1_ERROR);
        assert_int_equal(request.reason, REASON_HEAD_TOO_LARGE);
        assert_int_equal(parse_with((struct span){(uint8_t *)text, 299}, &small, &request),
                         H1_MORE);
        assert_int_equal(parse_with((struct span){(uint8_t *)text, 300}, &small, &request),
                         H1_ERROR);
        free(text);
    }
}

static void test_fields_are_counted(void **state)
{
    (void)state;
    struct h1_limits few = {.head_bytes = 4096, .target_bytes = 100, .fields = 3};
    struct h1_request request;
    struct span three = SPAN("GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nA: b\r\n\r\n");
    struct span four = SPAN("GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nA: b\r\nA: b\r\n\r\n");
    assert_int_equal(parse_with(three, &few, &request), H1_DONE);
    assert_int_equal(parse_with(four, &few, &request), H1_ERROR);
    assert_int_equal(request.reason, REASON_HEAD_TOO_LARGE);
}

/* GET with a target of n bytes. */
static char *request_with_target(size_t n)
{
    char *text = malloc(n + 64);
    put(text, 0, SPAN("GET /"));
    memset(text + 5, 'x', n - 1);
    put(text, 4 + n, SPAN(" HTTP/1.1\r\nHost: a\r\n\r\n\0"));
    return text;
}

static void test_a_target_may_fill_its_limit_and_not_pass_it(void **state)
{
    (void)state;
    struct h1_limits small = {.head_bytes = 600, .target_bytes = 100, .fields = 10};
    struct h1_request request;
    for (size_t n = 99; n <= 590; n++) {
        char *text = request_with_target(n);
        assert_int_equal(parse_with(span_of(text), &small, &request),
                         n <= 100 ? H1_DONE : H1_ERROR);
        assert_int_equal(request.reason, n <= 100 ? REASON_OK : REASON_TARGET_TOO_LONG);
        free(text);
    }
    /* Refused without waiting for its end, also when the head's limit is the nearer one. */
    struct h1_limits narrow = {.head_bytes = 150, .target_bytes = 4096, .fields = 10};
    char *text = request_with_target(590);
    struct span start = {(uint8_t *)text, 200};
    assert_int_equal(parse_with(start, &small, &request), H1_ERROR);
    assert_int_equal(request.reason, REASON_TARGET_TOO_LONG);
    assert_int_equal(parse_with(start, &narrow, &request), H1_ERROR);
    assert_int_equal(request.reason, REASON_TARGET_TOO_LONG);
    start.n = 149;
    assert_int_equal(parse_with(start, &narrow, &request), H1_MORE);
    start.n = 150;
    assert_int_equal(parse_with(start, &narrow, &request), H1_ERROR);
    free(text);
}

static void test_a_name_longer_than_its_counter_is_too_large(void **state)
{
    (void)state;
    struct h1_limits wide = {.head_bytes = 1 << 20, .target_bytes = 100, .fields = 10};
    static const char start[] = "GET / HTTP/1.0\r\n";
    for (size_t n = 65535; n <= 65536; n++) {
        char *text = malloc(n + 64);
        put(text, 0, span_of(start));
        memset(text + sizeof(start) - 1, 'x', n);
        put(text, sizeof(start) - 1 + n, SPAN(":\r\n\r\n\0"));
        struct request_state whole;
        request_state_init(&whole, &wide);
        struct feed feed = {parse_request, span_of(text)};
        assert_int_equal(feed_whole(&feed, &whole), n == 65535 ? H1_DONE : H1_ERROR);
        assert_int_equal(whole.request.reason, n == 65535 ? REASON_OK : REASON_HEAD_TOO_LARGE);
        free(text);
    }
}

static void test_a_finished_parser_repeats_itself(void **state)
{
    (void)state;
    struct h1_request request;
    struct h1_field fields[H1_MAX_FIELDS];
    struct span good = SPAN("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    struct span bad = SPAN("GET / HTTP/1.1\r\nHost: a b\r\n\r\n");
    h1_request_init(&request, fields);
    for (int i = 0; i < 2; i++)
        assert_int_equal(h1_request_parse(&request, &limits, good.p, good.n), H1_DONE);
    assert_int_equal(request.lines.n_fields, 1);
    h1_request_init(&request, fields);
    for (int i = 0; i < 2; i++)
        assert_int_equal(h1_request_parse(&request, &limits, bad.p, bad.n), H1_ERROR);
    assert_int_equal(request.reason, REASON_BAD_REQUEST);
}

static void test_empty_lines_before_a_request_are_counted(void **state)
{
    (void)state;
    const struct {
        struct span bytes;
        size_t n;
    } cases[] = {
        {SPAN(""), 0},      {SPAN("\r"), 0},     {SPAN("\n"), 0},
        {SPAN("\r\n"), 2},  {SPAN("\r\n\r"), 2}, {SPAN("\r\n\r\nGET"), 4},
        {SPAN("G\r\n"), 0}, {SPAN("\r\r\n"), 0}, {SPAN("\r\n\n"), 2},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(h1_skip_empty_lines(cases[i].bytes.p, cases[i].bytes.n), cases[i].n);
}

static void test_every_known_field_is_found_in_any_case(void **state)
{
    (void)state;
    static const char *const names[H1_FIELD_COUNT] = {
#define X(name, text) [H1_##name] = (text),
        H1_FIELDS(X)
#undef X
    };
    for (int id = H1_OTHER + 1; id < H1_FIELD_COUNT; id++) {
        char name[32];
        snprintf(name, sizeof(name), "%s", names[id]);
        assert_int_equal(h1_field_lookup(span_of(name)), id);
        for (size_t i = 0; name[i] != '\0'; i++)
            if (name[i] >= 'a' && name[i] <= 'z')
                name[i] = (char)(name[i] - 32);
        assert_int_equal(h1_field_lookup(span_of(name)), id);
        name[strlen(name) - 1] = '_';
        assert_int_equal(h1_field_lookup(span_of(name)), H1_OTHER);
        name[0] ^= 0x40; /* the same after | 0x20 for some letters, yet no letter */
        assert_int_equal(h1_field_lookup(span_of(name)), H1_OTHER);
    }
    assert_int_equal(h1_field_lookup(SPAN("")), H1_OTHER);
    assert_int_equal(h1_field_lookup(SPAN("hos")), H1_OTHER);
    assert_int_equal(h1_field_lookup(SPAN("hosts")), H1_OTHER);
    assert_int_equal(h1_field_lookup(SPAN("a-name-that-is-longer-than-any-known")), H1_OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_browsers_request_is_taken_apart),
        cmocka_unit_test(test_bytes_behind_the_head_are_left_alone),
        cmocka_unit_test(test_methods_are_known_by_exact_case),
        cmocka_unit_test(test_targets_of_every_form_are_taken_apart),
        cmocka_unit_test(test_malformed_targets_are_refused),
        cmocka_unit_test(test_every_byte_of_a_target_is_allowed_or_refused_as_documented),
        cmocka_unit_test(test_connect_is_refused_by_method),
        cmocka_unit_test(test_versions_are_one_dot_something),
        cmocka_unit_test(test_malformed_request_lines_are_refused),
        cmocka_unit_test(test_malformed_field_lines_are_refused),
        cmocka_unit_test(test_every_byte_of_names_and_values_is_allowed_or_refused_by_grammar),
        cmocka_unit_test(test_errors_are_found_as_soon_as_they_can_be),
        cmocka_unit_test(test_host_is_required_once_and_well_formed),
        cmocka_unit_test(test_bodies_are_framed_by_length_or_chunks_or_not_there),
        cmocka_unit_test(test_ambiguous_framing_is_refused),
        cmocka_unit_test(test_fields_that_look_like_framing_are_not),
        cmocka_unit_test(test_connections_are_kept_as_version_and_options_say),
        cmocka_unit_test(test_hop_by_hop_fields_are_marked),
        cmocka_unit_test(test_connection_cannot_remove_what_must_stay),
        cmocka_unit_test(test_connection_may_name_64_fields_and_no_more),
        cmocka_unit_test(test_expectations_are_continue_or_refused),
        cmocka_unit_test(test_trailers_are_accepted_when_te_says_so),
        cmocka_unit_test(test_upgrade_needs_the_connection_option_and_version),
        cmocka_unit_test(test_a_head_may_fill_its_limit_and_not_pass_it),
        cmocka_unit_test(test_fields_are_counted),
        cmocka_unit_test(test_a_target_may_fill_its_limit_and_not_pass_it),
        cmocka_unit_test(test_a_name_longer_than_its_counter_is_too_large),
        cmocka_unit_test(test_a_finished_parser_repeats_itself),
        cmocka_unit_test(test_empty_lines_before_a_request_are_counted),
        cmocka_unit_test(test_every_known_field_is_found_in_any_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
