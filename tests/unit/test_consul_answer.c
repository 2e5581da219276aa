#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "discovery/consul_answer.h"
#include "discovery/instance_set.h"
#include "discovery/json_memory.h"

/* Parts of an entry, each replaceable: what Consul writes, shortened. */
struct entry {
    const char *node, *datacenter, *node_address, *id, *address, *port, *weights, *checks;
};

static const struct entry plain = {
    .node = "\"n1\"",
    .datacenter = "\"dc1\"",
    .node_address = "\"10.0.0.1\"",
    .id = "\"web1\"",
    .address = "\"10.0.1.1\"",
    .port = "8080",
    .weights = "{\"Passing\":1,\"Warning\":1}",
    .checks = "[]",
};

static char *entry_text(const struct entry *e)
{
    char *text = NULL;
    assert_true(asprintf(&text,
                         "{\"Node\":{\"Node\":%s,\"Datacenter\":%s,\"Address\":%s},"
                         "\"Service\":{\"ID\":%s,\"Address\":%s,\"Port\":%s,\"Weights\":%s},"
                         "\"Checks\":%s}",
                         e->node, e->datacenter, e->node_address, e->id, e->address, e->port,
                         e->weights, e->checks) > 0);
    return text;
}

static struct instance_set *parse_text(const char *body)
{
    struct instance_set *set = NULL;
    const char *why = NULL;
    int error = consul_answer_parse(body, strlen(body), NULL, &set, &why);
    if (error != 0)
        fail_msg("%s: %s", why, body);
    return set;
}

static struct instance_set *parse_entries(const struct entry *entries, size_t n)
{
    char *body = strdup("[");
    for (size_t i = 0; i < n; i++) {
        char *entry = entry_text(&entries[i]), *longer = NULL;
        assert_true(asprintf(&longer, "%s%s%s", body, i > 0 ? "," : "", entry) > 0);
        free(body);
        free(entry);
        body = longer;
    }
    char *whole = NULL;
    assert_true(asprintf(&whole, "%s]", body) > 0);
    struct instance_set *set = parse_text(whole);
    free(whole);
    free(body);
    return set;
}

static struct instance_set *parse_entry(struct entry entry)
{
    return parse_entries(&entry, 1);
}

static void assert_rejected_whole(const char *body, size_t n, int expected)
{
    struct instance_set *set = NULL;
    const char *why = NULL;
    assert_int_equal(consul_answer_parse(body, n, NULL, &set, &why), expected);
    assert_null(set);
    assert_non_null(why);
    assert_int_equal(consul_answer_parse(body, n, NULL, &set, NULL), expected);
}

static char *read_vector(const char *name, size_t *ret_n)
{
    char path[512];
    snprintf(path, sizeof path, "%s/tests/vectors/consul/%s", SOURCE_DIR, name);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    char *text = calloc(1, 1 << 16);
    assert_non_null(text);
    *ret_n = fread(text, 1, 1 << 16, file);
    fclose(file);
    return text;
}

static void assert_instance(const struct instance *instance, const char *id, const char *host,
                            uint16_t port, enum instance_status status, double weight)
{
    assert_string_equal(instance->service_id, id);
    assert_string_equal(instance->host, host);
    assert_int_equal(instance->port, port);
    assert_int_equal(instance->status, status);
    assert_true(instance->weight >= weight && instance->weight <= weight);
}

/* health_images.json is what Consul 1.8.7 answered. */
static void test_a_real_answer_is_read_as_consul_meant_it(void **state)
{
    (void)state;
    size_t n;
    char *body = read_vector("health_images.json", &n);
    struct instance_set *set = NULL;
    assert_int_equal(consul_answer_parse(body, n, NULL, &set, NULL), 0);
    assert_int_equal(set->n, 5);
    assert_int_equal(set->n_rejected, 1); /* port 0 */
    assert_int_equal(set->index, 0);
    const struct instance *list = set->list;
    assert_instance(&list[0], "images-1", "10.0.0.1", 8081, INSTANCE_PASSING, 10);
    assert_string_equal(list[0].datacenter, "dc1");
    assert_string_equal(list[0].node, "agent-one");
    assert_instance(&list[1], "images-2", "127.0.0.1", 8082, INSTANCE_WARNING, 2);
    assert_instance(&list[2], "images-3", "2001:db8::3", 8083, INSTANCE_CRITICAL, 1);
    assert_instance(&list[3], "images-4", "images.example", 8084, INSTANCE_MAINTENANCE, 1);
    assert_instance(&list[4], "images-6", "10.0.0.9", 8086, INSTANCE_PASSING, 1);
    assert_string_equal(list[4].node, "external");
    instance_set_free(set);
    free(body);
}

static void test_an_answer_cut_anywhere_is_rejected_whole(void **state)
{
    (void)state;
    size_t n;
    char *body = read_vector("health_images.json", &n);
    while (n > 0 && body[n - 1] != ']')
        n--;
    for (size_t cut = 0; cut < n; cut++) {
        /* A copy of its own, so that a sanitizer sees any byte read behind the end. */
        char *part = malloc(cut + 1);
        assert_non_null(part);
        memcpy(part, body, cut);
        struct instance_set *set = NULL;
        assert_int_equal(consul_answer_parse(part, cut, NULL, &set, NULL), -EBADMSG);
        free(part);
    }
    free(body);
}

static void test_what_is_not_an_array_is_not_an_answer(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "",           "null", "{}",      "\"x\"", "17",      "true",      "[",
        "]",          "[}",   "[],[]",   "[]x",   "[null,]", "not found", "<html></html>",
        "[\"\xff\"]", "\n",   "[1e999]",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        assert_rejected_whole(bodies[i], strlen(bodies[i]), -EBADMSG);
    assert_rejected_whole("[]\0x", 4, -EBADMSG);
}

static void test_an_empty_array_is_an_empty_set(void **state)
{
    (void)state;
    struct instance_set *set = parse_text(" [ ]\n");
    assert_int_equal(set->n, 0);
    assert_int_equal(set->n_rejected, 0);
    instance_set_free(set);
}

static void test_malformed_instances_are_left_out_and_counted(void **state)
{
    (void)state;
    struct instance_set *set = parse_text(
        "[null, 1, \"x\", [], {}, {\"Node\":{},\"Service\":{}}, {\"Node\":[],\"Service\":[]},"
        "{\"Node\":null,\"Service\":null,\"Checks\":null},"
        "{\"Node\":{\"Node\":\"n\",\"Address\":\"10.0.0.1\"},\"Service\":{\"ID\":\"a\","
        "\"Port\":1}}]");
    assert_int_equal(set->n, 1);
    assert_int_equal(set->n_rejected, 8);
    assert_instance(&set->list[0], "a", "10.0.0.1", 1, INSTANCE_PASSING, 1);
    assert_string_equal(set->list[0].datacenter, "");
    instance_set_free(set);
}

/* Each replaces one part of a good entry with one that spoils it. */
static void test_each_spoilt_part_costs_only_its_instance(void **state)
{
    (void)state;
#define SPOILT(part, text) offsetof(struct entry, part), text
    static const struct {
        size_t part;
        const char *text;
    } spoilt[] = {
        {SPOILT(node, "\"\"")},
        {SPOILT(node, "null")},
        {SPOILT(node, "7")},
        {SPOILT(node, "\"a\\u0000b\"")},
        {SPOILT(datacenter, "[]")},
        {SPOILT(id, "\"\"")},
        {SPOILT(id, "{}")},
        {SPOILT(address, "8")},
        {SPOILT(address, "\"10.0.0.1 \"")},
        {SPOILT(address, "\"ho/st\"")},
        {SPOILT(address, "\"ho\\nst\"")},
        {SPOILT(address, "\"1:2:3\"")},
        {SPOILT(address, "\"[]\"")},
        {SPOILT(address, "\"::1%\"")},
        {SPOILT(address, "\"fe80::1%e/0\"")},
        {SPOILT(port, "0")},
        {SPOILT(port, "-1")},
        {SPOILT(port, "65536")},
        {SPOILT(port, "80.5")},
        {SPOILT(port, "\"80\"")},
        {SPOILT(port, "null")},
        {SPOILT(port, "99999999999999999999999999")},
        {SPOILT(weights, "[]")},
        {SPOILT(weights, "{\"Passing\":\"1\"}")},
        {SPOILT(checks, "{}")},
        {SPOILT(checks, "[1]")},
        {SPOILT(checks, "[{\"Status\":1}]")},
        {SPOILT(checks, "[{\"Status\":\"passing\",\"CheckID\":[]}]")},
        {SPOILT(checks, "[{\"Status\":\"passing\",\"ServiceID\":0}]")},
    };
#undef SPOILT
    for (size_t i = 0; i < sizeof spoilt / sizeof spoilt[0]; i++) {
        struct entry entries[2] = {plain, plain};
        entries[1].id = "\"web2\"";
        entries[1].address = "\"10.0.1.2\"";
        memcpy((char *)&entries[1] + spoilt[i].part, &spoilt[i].text, sizeof spoilt[i].text);
        struct instance_set *set = parse_entries(entries, 2);
        if (set->n != 1 || set->n_rejected != 1)
            fail_msg("%s was accepted", spoilt[i].text);
        assert_string_equal(set->list[0].service_id, "web1");
        instance_set_free(set);
    }
}

static void test_a_name_too_long_is_not_an_address(void **state)
{
    (void)state;
    char address[258];
    for (size_t n = 252; n <= 255; n++) {
        memset(address, 'a', sizeof address);
        address[0] = '"';
        address[n + 1] = '"';
        address[n + 2] = '\0';
        struct entry entry = plain;
        entry.address = address;
        struct instance_set *set = parse_entry(entry);
        assert_int_equal(set->n, n <= 253);
        instance_set_free(set);
    }
}

static void test_addresses_have_one_spelling(void **state)
{
    (void)state;
    static const struct {
        const char *service, *node, *host;
    } cases[] = {
        {"\"10.0.0.1\"", "\"10.0.0.9\"", "10.0.0.1"},
        {"\"\"", "\"10.0.0.9\"", "10.0.0.9"},
        {"null", "\"node.example\"", "node.example"},
        {"\"2001:DB8:0:0::1\"", "\"\"", "2001:db8::1"},
        {"\"[2001:db8::1]\"", "\"\"", "2001:db8::1"},
        {"\"::FFFF:10.0.0.1\"", "\"\"", "::ffff:10.0.0.1"},
        {"\"FE80::1%eth0\"", "\"\"", "fe80::1%eth0"},
        {"\"web_1.Service-a.example\"", "\"\"", "web_1.Service-a.example"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct entry entry = plain;
        entry.address = cases[i].service;
        entry.node_address = cases[i].node;
        struct instance_set *set = parse_entry(entry);
        assert_int_equal(set->n, 1);
        assert_string_equal(set->list[0].host, cases[i].host);
        instance_set_free(set);
    }
}

/* The meta that an instance with this Service.Meta has under "shard"; "" for none. */
static void assert_meta(const char *meta, const char *expected)
{
    char *body = NULL;
    struct instance_set *set = NULL;
    assert_true(asprintf(&body,
                         "[{\"Node\":{\"Node\":\"n\"},\"Service\":{\"ID\":\"w\",\"Address\":"
                         "\"10.0.0.1\",\"Port\":80,\"Meta\":%s}}]",
                         meta) > 0);
    assert_int_equal(consul_answer_parse(body, strlen(body), "shard", &set, NULL), 0);
    assert_int_equal(set->n, 1);
    struct instance_set *copy = instance_set_copy(set);
    assert_string_equal(set->list[0].meta != NULL ? set->list[0].meta : "", expected);
    assert_true(instance_set_equal(set, copy));
    instance_set_free(copy);
    struct instance_set *unasked = parse_text(body);
    assert_null(unasked->list[0].meta);
    assert_int_equal(instance_set_equal(set, unasked), expected[0] == '\0');
    instance_set_free(unasked);
    instance_set_free(set);
    free(body);
}

static void test_only_the_metadata_that_is_asked_for_is_kept(void **state)
{
    (void)state;
    assert_meta("{\"zone\":\"a\",\"shard\":\"s 1\\u00e9\"}", "s 1\xc3\xa9");
    assert_meta("{\"zone\":\"a\"}", "");
    assert_meta("null", "");
    assert_meta("{}", "");
}

static void test_metadata_of_a_wrong_kind_or_size_is_none(void **state)
{
    (void)state;
    char longest[600] = "{\"shard\":\"", *text = longest + strlen(longest);
    assert_meta("[\"shard\"]", "");
    assert_meta("\"shard\"", "");
    assert_meta("{\"shard\":7}", "");
    assert_meta("{\"shard\":\"\"}", "");
    assert_meta("{\"shard\":\"a\\u0000b\"}", "");
    memset(text, 'x', 513);
    memcpy(text + 513, "\"}", 3);
    assert_meta(longest, "");
    memcpy(text + 512, "\"}", 3);
    char expected[513] = "";
    memset(expected, 'x', 512);
    assert_meta(longest, expected);
}

#define SERVICE_CHECK(status) "{\"CheckID\":\"s\",\"ServiceID\":\"web1\",\"Status\":\"" status "\"}"
#define NODE_CHECK(status)                                                                         \
    "{\"CheckID\":\"serfHealth\",\"ServiceID\":\"\",\"Status\":\"" status "\"}"
#define NODE_MAINT(status) "{\"CheckID\":\"_node_maintenance\",\"Status\":\"" status "\"}"
#define SERVICE_MAINT(status)                                                                      \
    "{\"CheckID\":\"_service_maintenance:web1\",\"ServiceID\":\"web1\",\"Status\":\"" status "\"}"

static void test_the_worst_check_decides_the_state(void **state)
{
    (void)state;
    static const struct {
        const char *checks;
        enum instance_status status;
    } cases[] = {
        {"[]", INSTANCE_PASSING},
        {"null", INSTANCE_PASSING},
        {"[" SERVICE_CHECK("passing") "," NODE_CHECK("passing") "]", INSTANCE_PASSING},
        {"[" SERVICE_CHECK("warning") "," NODE_CHECK("passing") "]", INSTANCE_WARNING},
        {"[" SERVICE_CHECK("passing") "," NODE_CHECK("warning") "]", INSTANCE_WARNING},
        {"[" SERVICE_CHECK("passing") "," NODE_CHECK("critical") "]", INSTANCE_NODE_CRITICAL},
        {"[" SERVICE_CHECK("warning") "," NODE_CHECK("critical") "]", INSTANCE_NODE_CRITICAL},
        {"[" SERVICE_CHECK("critical") "," NODE_CHECK("passing") "]", INSTANCE_CRITICAL},
        {"[" SERVICE_CHECK("critical") "," NODE_CHECK("critical") "]", INSTANCE_CRITICAL},
        {"[" NODE_CHECK("critical") "," SERVICE_CHECK("critical") "]", INSTANCE_CRITICAL},
        {"[" SERVICE_CHECK("unheard-of") "]", INSTANCE_CRITICAL},
        {"[" SERVICE_CHECK("") "]", INSTANCE_CRITICAL},
        {"[" SERVICE_CHECK("Passing") "]", INSTANCE_CRITICAL},
        {"[" NODE_CHECK("unheard-of") "]", INSTANCE_NODE_CRITICAL},
        {"[" SERVICE_CHECK("passing") "," NODE_MAINT("critical") "]", INSTANCE_MAINTENANCE},
        {"[" SERVICE_MAINT("critical") "," SERVICE_CHECK("passing") "]", INSTANCE_MAINTENANCE},
        {"[" SERVICE_CHECK("critical") "," SERVICE_MAINT("critical") "]", INSTANCE_MAINTENANCE},
        {"[" SERVICE_MAINT("passing") "]", INSTANCE_PASSING},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct entry entry = plain;
        entry.checks = cases[i].checks;
        struct instance_set *set = parse_entry(entry);
        assert_int_equal(set->n, 1);
        if (set->list[0].status != cases[i].status)
            fail_msg("%s: status %d", cases[i].checks, (int)set->list[0].status);
        instance_set_free(set);
    }
}

static void test_weights_follow_the_state_and_are_clamped(void **state)
{
    (void)state;
    static const struct {
        const char *weights, *checks;
        double weight;
    } cases[] = {
        {"{\"Passing\":5,\"Warning\":2}", "[]", 5},
        {"{\"Passing\":5,\"Warning\":2}", "[" SERVICE_CHECK("warning") "]", 2},
        {"{\"Passing\":5,\"Warning\":2}", "[" SERVICE_CHECK("critical") "]", 5},
        {"{\"Passing\":5,\"Warning\":2}", "[" NODE_MAINT("critical") "]", 5},
        {"{\"Passing\":0,\"Warning\":0}", "[]", 0},
        {"{\"Passing\":5,\"Warning\":0}", "[" SERVICE_CHECK("warning") "]", 0},
        {"{\"Passing\":65536}", "[]", 65536},
        {"{\"Passing\":65537}", "[]", 65536},
        {"{\"Passing\":123456789012345678901234567890}", "[]", 65536},
        {"{\"Passing\":1e300}", "[]", 65536},
        {"{\"Passing\":-3}", "[]", 0},
        {"{\"Passing\":2.5}", "[]", 2.5},
        {"{\"Passing\":null}", "[]", 1},
        {"{}", "[]", 1},
        {"null", "[]", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct entry entry = plain;
        entry.weights = cases[i].weights;
        entry.checks = cases[i].checks;
        struct instance_set *set = parse_entry(entry);
        assert_int_equal(set->n, 1);
        double weight = set->list[0].weight;
        if (weight < cases[i].weight || weight > cases[i].weight)
            fail_msg("%s: weight %g", cases[i].weights, weight);
        instance_set_free(set);
    }
}

/* An entry apart from plain: node, service id, address, port, checks. */
static struct entry other(const char *node, const char *id, const char *address, const char *port,
                          const char *checks)
{
    struct entry entry = plain;
    entry.node = node;
    entry.id = id;
    entry.address = address;
    entry.port = port;
    entry.checks = checks;
    return entry;
}

static void test_the_order_of_the_answer_does_not_matter(void **state)
{
    (void)state;
    struct entry entries[] = {
        other("\"n2\"", "\"b\"", "\"10.0.0.1\"", "1", "[]"),
        other("\"n1\"", "\"b\"", "\"10.0.0.2\"", "1", "[]"),
        other("\"n1\"", "\"a\"", "\"10.0.0.3\"", "1", "[]"),
        other("\"n10\"", "\"a\"", "\"10.0.0.4\"", "1", "[]"),
        /* a duplicate place, and a duplicate identity */
        other("\"n3\"", "\"c\"", "\"10.0.0.4\"", "1", "[]"),
        other("\"n2\"", "\"b\"", "\"10.0.0.0\"", "1", "[" SERVICE_CHECK("warning") "]"),
    };
    enum { N = sizeof entries / sizeof entries[0] };
    struct instance_set *first = parse_entries(entries, N);
    assert_int_equal(first->n, 4);
    assert_int_equal(first->n_rejected, 2);
    static const char *const hosts[] = {"10.0.0.3", "10.0.0.2", "10.0.0.4", "10.0.0.1"};
    for (size_t i = 0; i < first->n; i++)
        assert_string_equal(first->list[i].host, hosts[i]);
    /* Every rotation of the list, forwards and backwards. */
    for (size_t i = 0; i < (size_t)2 * N; i++) {
        struct entry turned[N];
        for (size_t j = 0; j < N; j++)
            turned[i < N ? j : N - 1 - j] = entries[(i + j) % N];
        struct instance_set *set = parse_entries(turned, N);
        assert_true(instance_set_equal(first, set));
        assert_int_equal(set->n_rejected, 2);
        instance_set_free(set);
    }
    instance_set_free(first);
}

static void test_the_same_service_id_on_two_nodes_is_two_instances(void **state)
{
    (void)state;
    struct entry entries[] = {
        other("\"n1\"", "\"web\"", "\"10.0.0.1\"", "1", "[]"),
        other("\"n2\"", "\"web\"", "\"10.0.0.2\"", "1", "[]"),
    };
    struct instance_set *set = parse_entries(entries, 2);
    assert_int_equal(set->n, 2);
    assert_int_equal(set->n_rejected, 0);
    instance_set_free(set);
}

static void test_a_dead_node_does_not_hide_who_took_its_address(void **state)
{
    (void)state;
    struct entry entries[] = {
        other("\"n1\"", "\"old\"", "\"10.0.0.1\"", "1", "[" NODE_CHECK("critical") "]"),
        other("\"n2\"", "\"new\"", "\"10.0.0.1\"", "1", "[" NODE_CHECK("passing") "]"),
    };
    struct instance_set *set = parse_entries(entries, 2);
    assert_int_equal(set->n, 1);
    assert_int_equal(set->n_rejected, 1);
    assert_instance(&set->list[0], "new", "10.0.0.1", 1, INSTANCE_PASSING, 1);
    instance_set_free(set);
}

static void test_two_spellings_of_one_address_are_one_place(void **state)
{
    (void)state;
    struct entry entries[] = {
        other("\"n1\"", "\"a\"", "\"::1\"", "1", "[]"),
        other("\"n1\"", "\"b\"", "\"[0:0::1]\"", "1", "[]"),
        other("\"n1\"", "\"c\"", "\"::1\"", "2", "[]"),
    };
    struct instance_set *set = parse_entries(entries, 3);
    assert_int_equal(set->n, 2);
    assert_string_equal(set->list[0].service_id, "a");
    assert_string_equal(set->list[1].service_id, "c");
    instance_set_free(set);
}

static void test_any_difference_makes_sets_unequal(void **state)
{
    (void)state;
    struct instance_set *set = parse_entry(plain);
    struct instance_set *same = instance_set_copy(set);
    same->index = 9;
    same->n_rejected = 9;
    assert_true(instance_set_equal(set, same));
    struct entry changed[8];
    for (size_t i = 0; i < 8; i++)
        changed[i] = plain;
    changed[0].datacenter = "\"dc2\"";
    changed[1].node = "\"n2\"";
    changed[2].id = "\"web2\"";
    changed[3].address = "\"10.0.1.2\"";
    changed[4].port = "8081";
    changed[5].checks = "[" SERVICE_CHECK("warning") "]";
    changed[6].weights = "{\"Passing\":2}";
    changed[7].node = "7"; /* rejected: none at all */
    for (size_t i = 0; i < 8; i++) {
        struct instance_set *different = parse_entry(changed[i]);
        assert_false(instance_set_equal(set, different));
        assert_false(instance_set_equal(different, set));
        instance_set_free(different);
    }
    instance_set_free(same);
    instance_set_free(set);
}

static void test_a_removal_is_seen_and_an_addition_is_none(void **state)
{
    (void)state;
    struct entry entries[] = {
        other("\"n1\"", "\"a\"", "\"10.0.0.1\"", "1", "[]"),
        other("\"n1\"", "\"b\"", "\"10.0.0.2\"", "1", "[]"),
        other("\"n1\"", "\"c\"", "\"10.0.0.3\"", "1", "[]"),
    };
    struct instance_set *all = parse_entries(entries, 3);
    struct instance_set *last_two = parse_entries(entries + 1, 2);
    struct instance_set *first_two = parse_entries(entries, 2);
    struct instance_set *none = parse_text("[]");
    assert_true(instance_set_removes(all, last_two));
    assert_true(instance_set_removes(all, first_two));
    assert_true(instance_set_removes(all, none));
    assert_true(instance_set_removes(first_two, last_two));
    assert_false(instance_set_removes(all, all));
    assert_false(instance_set_removes(last_two, all));
    assert_false(instance_set_removes(first_two, all));
    assert_false(instance_set_removes(none, all));
    assert_false(instance_set_removes(none, none));
    instance_set_free(all);
    instance_set_free(last_two);
    instance_set_free(first_two);
    instance_set_free(none);
}

static void test_a_deep_or_a_dense_answer_is_refused_before_it_costs_memory(void **state)
{
    (void)state;
    enum { N = 9 << 20 };
    char *body = malloc(N);
    assert_non_null(body);
    memset(body, '[', N);
    assert_rejected_whole(body, N, -EMSGSIZE);
    assert_rejected_whole(body, 33, -EMSGSIZE);
    assert_rejected_whole(body, 32, -EBADMSG);
    for (size_t i = 1; i < N; i++)
        body[i] = i % 2 == 0 ? ',' : '0';
    assert_rejected_whole(body, N, -EMSGSIZE);
    /* Brackets and commas in strings are text. */
    memset(body, '[', N);
    memcpy(body, (const char[]){'[', '"', '\\', '"'}, 4);
    body[N - 2] = '"';
    body[N - 1] = ']';
    struct instance_set *set = NULL;
    assert_int_equal(consul_answer_parse(body, N, NULL, &set, NULL), 0);
    assert_int_equal(set->n_rejected, 1);
    instance_set_free(set);
    free(body);
    assert_rejected_whole("", CONSUL_ANSWER_MAX_BYTES + 1, -EMSGSIZE);
}

static unsigned long n_allocations, failing_allocation;

static void *counting_malloc(size_t n)
{
    return ++n_allocations == failing_allocation ? NULL : malloc(n);
}

/* With short tokens only: long ones grow a buffer of which jansson forgets that it could not. */
static void test_every_failed_allocation_of_the_parser_is_an_error(void **state)
{
    (void)state;
    char *entry = entry_text(&plain), *body = NULL;
    assert_true(asprintf(&body, "[%s]", entry) > 0);
    int error = -ENOMEM;
    struct instance_set *set = NULL;
    json_set_alloc_funcs(counting_malloc, free);
    for (failing_allocation = 1; error != 0 && failing_allocation < 1000; failing_allocation++) {
        n_allocations = 0;
        error = consul_answer_parse(body, strlen(body), NULL, &set, NULL);
        assert_true(error == 0 || error == -ENOMEM || error == -EBADMSG);
        assert_true((error == 0) == (set != NULL));
    }
    json_set_alloc_funcs(malloc, free);
    assert_true(failing_allocation > 50);
    if (set == NULL) {
        fail_msg("still failing without an allocation that does");
        return;
    }
    assert_int_equal(set->n, 1);
    assert_instance(&set->list[0], "web1", "10.0.1.1", 8080, INSTANCE_PASSING, 1);
    instance_set_free(set);
    free(body);
    free(entry);
}

static void test_jansson_never_learns_that_memory_is_out(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        static const struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        close(STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        json_memory_abort_when_out();
        json_malloc_t allocate = NULL;
        json_free_t release = NULL;
        json_get_alloc_funcs(&allocate, &release);
        release(allocate(0));
        release(allocate(SIZE_MAX / 4));
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_real_answer_is_read_as_consul_meant_it),
        cmocka_unit_test(test_an_answer_cut_anywhere_is_rejected_whole),
        cmocka_unit_test(test_what_is_not_an_array_is_not_an_answer),
        cmocka_unit_test(test_an_empty_array_is_an_empty_set),
        cmocka_unit_test(test_malformed_instances_are_left_out_and_counted),
        cmocka_unit_test(test_each_spoilt_part_costs_only_its_instance),
        cmocka_unit_test(test_a_name_too_long_is_not_an_address),
        cmocka_unit_test(test_addresses_have_one_spelling),
        cmocka_unit_test(test_the_worst_check_decides_the_state),
        cmocka_unit_test(test_weights_follow_the_state_and_are_clamped),
        cmocka_unit_test(test_the_order_of_the_answer_does_not_matter),
        cmocka_unit_test(test_the_same_service_id_on_two_nodes_is_two_instances),
        cmocka_unit_test(test_a_dead_node_does_not_hide_who_took_its_address),
        cmocka_unit_test(test_two_spellings_of_one_address_are_one_place),
        cmocka_unit_test(test_any_difference_makes_sets_unequal),
        cmocka_unit_test(test_only_the_metadata_that_is_asked_for_is_kept),
        cmocka_unit_test(test_metadata_of_a_wrong_kind_or_size_is_none),
        cmocka_unit_test(test_a_removal_is_seen_and_an_addition_is_none),
        cmocka_unit_test(test_a_deep_or_a_dense_answer_is_refused_before_it_costs_memory),
        cmocka_unit_test(test_every_failed_allocation_of_the_parser_is_an_error),
        cmocka_unit_test(test_jansson_never_learns_that_memory_is_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
