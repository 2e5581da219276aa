/* What sources ask for, and the merge by identity. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/control/address.h"
#include "balancer/control/merge.h"
#include "balancer/control/wanted.h"
#include "discovery/instance_set.h"

enum { MAX_LOG = 512 };

/* What the merge asked for, as a line: "+new =kept -gone". */
struct world {
    struct tracked_list list;
    char log[MAX_LOG];
    const char *refused; /* id that is not admitted */
};

static void note(struct world *world, char sign, const char *id)
{
    size_t n = strlen(world->log);
    (void)snprintf(world->log + n, sizeof world->log - n, "%s%c%s", n > 0 ? " " : "", sign, id);
}

static bool admit(void *context, const struct wanted *wanted, struct tracked *ret_tracked)
{
    struct world *world = context;
    if (world->refused != NULL && strcmp(world->refused, wanted->id) == 0)
        return false;
    struct sockaddr_in address = {.sin_family = AF_INET};
    char text[ADDRESS_TEXT_SIZE];
    address_text(wanted->host, wanted->port, text);
    note(world, '+', wanted->id);
    *ret_tracked = (struct tracked){
        .endpoint = endpoint_new(wanted->id, text, (struct sockaddr *)&address, sizeof address, 1),
        .weight = wanted->weight,
        .position = wanted->position};
    return true;
}

static void keep(void *context, struct tracked *tracked, const struct wanted *wanted)
{
    note(context, '=', wanted->id);
    assert_string_equal(tracked->endpoint->id, wanted->id);
    tracked->weight = wanted->weight;
}

static void retire(void *context, struct tracked *tracked)
{
    note(context, '-', tracked->endpoint->id);
}

static const struct merge_ops ops = {.admit = admit, .keep = keep, .retire = retire};

/* Merges n static endpoints, "name" or "name@port", and returns what happened. */
static const char *merge_names(struct world *world, size_t n, const char *const *names)
{
    char ids[8][16];
    struct conf_endpoint endpoints[8];
    for (size_t i = 0; i < n; i++) {
        const char *at = strchr(names[i], '@');
        (void)snprintf(ids[i], sizeof ids[i], "%.*s", (int)strcspn(names[i], "@"), names[i]);
        endpoints[i] = (struct conf_endpoint){.id = ids[i],
                                              .host = (char *)"127.0.0.1",
                                              .port = at != NULL ? (uint16_t)(at[1] - '0') : 1,
                                              .weight = (double)n};
    }
    const struct conf_pool conf = {.endpoints = endpoints, .n_endpoints = n};
    struct wanted_list wanted;
    assert_int_equal(wanted_list_build(&conf, NULL, &wanted), 0);
    world->log[0] = '\0';
    assert_int_equal(merge(&world->list, &wanted, &ops, world), 0);
    wanted_list_free(&wanted);
    return world->log;
}

#define MERGE(world, ...)                                                                          \
    merge_names(world, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *),                     \
                (const char *[]){__VA_ARGS__})

static void test_each_endpoint_is_new_kept_or_gone_once(void **state)
{
    (void)state;
    struct world world = {.refused = NULL};
    assert_string_equal(MERGE(&world, "b", "d"), "+b +d");
    assert_string_equal(MERGE(&world, "e", "d", "a", "c"), "+a -b +c =d +e");
    assert_string_equal(MERGE(&world, "a", "c", "d", "e"), "=a =c =d =e");
    assert_string_equal(MERGE(&world, "z"), "-a -c -d -e +z");
    tracked_list_fini(&world.list);
    assert_int_equal(world.list.n, 0);
}

static void test_who_stays_keeps_its_object_and_takes_the_new_weight(void **state)
{
    (void)state;
    struct world world = {.refused = NULL};
    MERGE(&world, "a", "b");
    struct endpoint *a = world.list.items[0].endpoint;
    MERGE(&world, "b", "c", "a");
    assert_ptr_equal(world.list.items[0].endpoint, a);
    assert_true(world.list.items[0].weight > 2.5);
    assert_int_equal(atomic_load(&a->references), 1);
    tracked_list_fini(&world.list);
}

static void test_an_identity_at_another_address_is_another_endpoint(void **state)
{
    (void)state;
    struct world world = {.refused = NULL};
    MERGE(&world, "a@1", "b@1");
    struct endpoint *old = endpoint_ref(world.list.items[0].endpoint);
    assert_string_equal(MERGE(&world, "a@2", "b@1"), "-a +a =b");
    assert_ptr_not_equal(world.list.items[0].endpoint, old);
    assert_int_equal(atomic_load(&old->references), 1);
    endpoint_unref(old);
    tracked_list_fini(&world.list);
}

static void test_who_is_not_admitted_is_asked_for_again_by_the_next_merge(void **state)
{
    (void)state;
    struct world world = {.refused = "b"};
    assert_string_equal(MERGE(&world, "a", "b", "c"), "+a +c");
    assert_int_equal(world.list.n, 2);
    world.refused = NULL;
    assert_string_equal(MERGE(&world, "a", "b", "c"), "=a +b =c");
    tracked_list_fini(&world.list);
}

/* ---- what sources ask for ---- */

static struct instance instance_at(const char *service_id, uint16_t port,
                                   enum instance_status status)
{
    return (struct instance){.datacenter = (char *)"dc1",
                             .node = (char *)"n1",
                             .service_id = (char *)service_id,
                             .host = (char *)"127.0.0.1",
                             .port = port,
                             .status = status,
                             .weight = 2};
}

static const struct wanted *want(const struct wanted_list *list, const char *id)
{
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->items[i].id, id) == 0)
            return &list->items[i];
    return NULL;
}

static void test_a_static_endpoint_wins_over_the_instance_at_its_address(void **state)
{
    (void)state;
    struct conf_endpoint endpoints[] = {
        {.host = (char *)"127.0.0.1", .port = 2, .weight = 7},
        {.host = (char *)"127.0.0.1", .port = 1, .weight = 7, .id = (char *)"web"},
    };
    const struct conf_pool conf = {.endpoints = endpoints, .n_endpoints = 2};
    const struct instance list[] = {instance_at("x", 2, INSTANCE_CRITICAL),
                                    instance_at("y", 3, INSTANCE_PASSING)};
    struct instance_set *set = instance_set_build(list, 2);
    struct wanted_list wanted;
    assert_int_equal(wanted_list_build(&conf, set, &wanted), 0);
    assert_int_equal(wanted.n, 3);
    const struct wanted *second = want(&wanted, "127.0.0.1:2");
    assert_int_equal(second->position, 0);
    assert_int_equal(second->source, ENDPOINT_SOURCE_UP);
    assert_int_equal(want(&wanted, "web")->position, 1);
    assert_int_equal(want(&wanted, "127.0.0.1:3")->position, WANTED_BEHIND_STATICS);
    wanted_list_free(&wanted);
    instance_set_free(set);
}

static void test_members_are_numbered_statics_first_then_by_identity(void **state)
{
    (void)state;
    struct world world = {.refused = NULL};
    struct conf_endpoint endpoints[] = {
        {.host = (char *)"127.0.0.1", .port = 9, .weight = 1},
        {.host = (char *)"127.0.0.1", .port = 1, .weight = 1},
    };
    const struct conf_pool conf = {.endpoints = endpoints, .n_endpoints = 2};
    const struct instance list[] = {instance_at("x", 5, INSTANCE_PASSING),
                                    instance_at("y", 3, INSTANCE_PASSING)};
    struct instance_set *set = instance_set_build(list, 2);
    struct wanted_list wanted;
    assert_int_equal(wanted_list_build(&conf, set, &wanted), 0);
    assert_int_equal(merge(&world.list, &wanted, &ops, &world), 0);
    struct member *members = tracked_members(&world.list);
    assert_non_null(members);
    static const char *const order[] = {"127.0.0.1:9", "127.0.0.1:1", "127.0.0.1:3", "127.0.0.1:5"};
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(members[i].endpoint->id, order[i]);
    free(members);
    wanted_list_free(&wanted);
    instance_set_free(set);
    tracked_list_fini(&world.list);
}

static void test_what_consul_says_of_an_instance_becomes_its_source(void **state)
{
    (void)state;
    static const struct {
        enum instance_status status;
        bool use_warning;
        enum endpoint_source source;
    } rules[] = {
        {INSTANCE_PASSING, false, ENDPOINT_SOURCE_UP},
        {INSTANCE_WARNING, true, ENDPOINT_SOURCE_WARNING},
        {INSTANCE_WARNING, false, ENDPOINT_SOURCE_CRITICAL},
        {INSTANCE_CRITICAL, true, ENDPOINT_SOURCE_CRITICAL},
        {INSTANCE_NODE_CRITICAL, true, ENDPOINT_SOURCE_NODE_CRITICAL},
        {INSTANCE_MAINTENANCE, true, ENDPOINT_SOURCE_MAINTENANCE},
    };
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        const struct conf_pool conf = {.identity.source = CONF_IDENTITY_SERVICE,
                                       .service.use_warning = rules[i].use_warning};
        const struct instance instance = instance_at("web-1", 2, rules[i].status);
        struct instance_set *set = instance_set_build(&instance, 1);
        struct wanted_list wanted;
        assert_int_equal(wanted_list_build(&conf, set, &wanted), 0);
        assert_string_equal(wanted.items[0].id, "dc1/n1/web-1");
        assert_int_equal(wanted.items[0].source, rules[i].source);
        assert_true(wanted.items[0].weight > 1.5);
        wanted_list_free(&wanted);
        instance_set_free(set);
    }
}

/* Instances on ports 1, 2, … with this metadata, and a static endpoint with id "fixed". */
static void want_by_meta(struct wanted_list *wanted, size_t n, const char *const *metas)
{
    struct conf_endpoint endpoint = {
        .host = (char *)"127.0.0.1", .port = 99, .weight = 1, .id = (char *)"fixed"};
    const struct conf_pool conf = {
        .endpoints = &endpoint,
        .n_endpoints = 1,
        .identity = {.source = CONF_IDENTITY_META, .meta_key = (char *)"shard"}};
    struct instance list[8];
    for (size_t i = 0; i < n; i++) {
        list[i] = instance_at("web", (uint16_t)(i + 1), INSTANCE_PASSING);
        list[i].meta = (char *)metas[i];
    }
    /* Their texts are the program's: the set may go before the list of what is wanted. */
    struct instance_set set = {.list = list, .n = n};
    assert_int_equal(wanted_list_build(&conf, &set, wanted), 0);
    assert_int_equal(wanted->n, n + 1);
}

#define WANT_BY_META(wanted, ...)                                                                  \
    want_by_meta(wanted, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *),                   \
                 (const char *[]){__VA_ARGS__})

static void assert_wanted(const struct wanted_list *wanted, const char *id, uint16_t port,
                          enum wanted_fallback fallback)
{
    const struct wanted *found = want(wanted, id);
    assert_non_null(found);
    assert_int_equal(found->port, port);
    assert_int_equal(found->fallback, fallback);
}

static void test_metadata_is_the_identity_where_it_is_there_and_unique(void **state)
{
    (void)state;
    struct wanted_list wanted;
    WANT_BY_META(&wanted, "s2", NULL, "s1", "127.0.0.1:4");
    assert_wanted(&wanted, "s2", 1, WANTED_NO_FALLBACK);
    assert_wanted(&wanted, "127.0.0.1:2", 2, WANTED_META_MISSING);
    assert_wanted(&wanted, "s1", 3, WANTED_NO_FALLBACK);
    assert_wanted(&wanted, "127.0.0.1:4", 4, WANTED_NO_FALLBACK); /* its own address: no matter */
    assert_wanted(&wanted, "fixed", 99, WANTED_NO_FALLBACK);
    wanted_list_free(&wanted);
}

static void test_two_with_the_same_metadata_go_by_their_addresses(void **state)
{
    (void)state;
    struct wanted_list wanted;
    WANT_BY_META(&wanted, "s1", "s2", "s1", "s1");
    assert_wanted(&wanted, "127.0.0.1:1", 1, WANTED_META_SHARED);
    assert_wanted(&wanted, "s2", 2, WANTED_NO_FALLBACK);
    assert_wanted(&wanted, "127.0.0.1:3", 3, WANTED_META_SHARED);
    assert_wanted(&wanted, "127.0.0.1:4", 4, WANTED_META_SHARED);
    wanted_list_free(&wanted);
}

static void test_metadata_that_is_somebody_elses_identity_is_not_taken(void **state)
{
    (void)state;
    struct wanted_list wanted;
    /* 1 claims the address of 2, which has a name; 3 that of 1; 4 that of a static endpoint. */
    WANT_BY_META(&wanted, "127.0.0.1:2", "s2", "127.0.0.1:1", "fixed");
    assert_wanted(&wanted, "127.0.0.1:1", 1, WANTED_META_SHARED);
    assert_wanted(&wanted, "s2", 2, WANTED_NO_FALLBACK);
    assert_wanted(&wanted, "127.0.0.1:3", 3, WANTED_META_SHARED);
    assert_wanted(&wanted, "127.0.0.1:4", 4, WANTED_META_SHARED);
    assert_wanted(&wanted, "fixed", 99, WANTED_NO_FALLBACK);
    wanted_list_free(&wanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_endpoint_is_new_kept_or_gone_once),
        cmocka_unit_test(test_who_stays_keeps_its_object_and_takes_the_new_weight),
        cmocka_unit_test(test_an_identity_at_another_address_is_another_endpoint),
        cmocka_unit_test(test_who_is_not_admitted_is_asked_for_again_by_the_next_merge),
        cmocka_unit_test(test_a_static_endpoint_wins_over_the_instance_at_its_address),
        cmocka_unit_test(test_members_are_numbered_statics_first_then_by_identity),
        cmocka_unit_test(test_what_consul_says_of_an_instance_becomes_its_source),
        cmocka_unit_test(test_metadata_is_the_identity_where_it_is_there_and_unique),
        cmocka_unit_test(test_two_with_the_same_metadata_go_by_their_addresses),
        cmocka_unit_test(test_metadata_that_is_somebody_elses_identity_is_not_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
