/* The admin API's queries: whatever is asked, the answer is JSON with a status that goes with it,
 * and a request head in it meets the parser, the routes and the keys. */
#include <assert.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/admin/api.h"
#include "balancer/control/snapshot_build.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char name[] = "web", host[] = "a.example", path[] = "/", header[] = "x-user";

static struct conf_pool pool_conf = {
    .name = name,
    .algorithm = CONF_ALGORITHM_HASH,
    .key = {.source = CONF_KEY_HEADER, .name = header},
    .key_fallback = {.source = CONF_KEY_URI},
    .slots = 1024,
};
static struct conf_route routes[] = {{.path = path}, {.path = path, .host = host}};
static struct conf conf = {
    .pools = &pool_conf,
    .n_pools = 1,
    .routes = routes,
    .n_routes = 2,
    .client = {.max_head_bytes = 8192, .max_target_bytes = 4096, .max_fields = 64},
};

static void publish(struct pool *pool)
{
    struct member members[3];
    struct snapshot *snapshot;
    for (size_t i = 0; i < 3; i++) {
        char id[] = "e0";
        id[1] = (char)('0' + i);
        const struct sockaddr_in address = {.sin_family = AF_INET};
        members[i] = (struct member){
            endpoint_new(id, "127.0.0.1:80", (const struct sockaddr *)&address, sizeof address, 1),
            (double)i};
    }
    int rc = snapshot_build(&pool_conf, members, 3, NULL, &snapshot);
    assert(rc == 0);
    for (size_t i = 0; i < 3; i++)
        endpoint_unref(members[i].endpoint);
    pool_publish(pool, snapshot);
}

static const struct explain_source *source(void)
{
    static struct pool pool;
    static struct explain_source made;
    if (made.conf == NULL) {
        int rc = pool_init(&pool, &pool_conf, 1);
        assert(rc == 0);
        publish(&pool);
        made = (struct explain_source){
            .conf = &conf, .routes = route_table_new(routes, 2), .pools = &pool};
    }
    return &made;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const pages[] = {"/api/v1/explain", "/api/v1/pools", "/api/v1/hot_keys"};
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        struct api_answer answer;
        int rc = api_answer(source(), span_of(pages[i]), (struct span){data, size}, &answer);
        assert(rc == 0);
        json_t *json = json_loadb(answer.text, answer.n, JSON_ALLOW_NUL, NULL);
        assert(json_is_object(json));
        assert((answer.status == 200) == (json_object_get(json, "error") == NULL));
        json_decref(json);
        free(answer.text);
    }
    return 0;
}
