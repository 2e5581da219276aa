/* Any bytes as a configuration: errors or a configuration that keeps what its header promises. */
#include <assert.h>
#include <stdlib.h>

#include "conf/load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* What the rest of the program relies on. */
static void check_pool(const struct conf_pool *pool)
{
    assert(pool->name != NULL && pool->retries <= 15);
    assert(pool->slots >= 1024 && (pool->slots & (pool->slots - 1)) == 0);
    assert(pool->n_endpoints > 0 || pool->service.name != NULL);
    assert(pool->check.n_expect > 0 && pool->check.path[0] == '/');
    const struct conf_sticky *sticky = &pool->sticky;
    assert(sticky->name == NULL || sticky->secret == NULL || sticky->secret_n >= 16);
    assert(sticky->path[0] == '/' && sticky->max_age_ms % 1000 == 0);
    for (size_t i = 0; i < pool->n_endpoints; i++)
        assert(pool->endpoints[i].host != NULL && pool->endpoints[i].port != 0);
}

static void check_conf(const struct conf *conf)
{
    assert(conf->workers >= 1 && conf->n_listeners > 0 && conf->n_pools > 0 && conf->n_routes > 0);
    assert(conf->buffer_bytes >= conf->client.max_head_bytes + 4096);
    assert(conf->consul.n_addresses > 0);
    for (size_t i = 0; i < conf->n_listeners; i++)
        assert(conf->listeners[i].port != 0);
    for (size_t i = 0; i < conf->n_routes; i++)
        assert(conf->routes[i].pool < conf->n_pools && conf->routes[i].path[0] == '/');
    for (size_t i = 0; i < conf->n_pools; i++)
        check_pool(&conf->pools[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct conf_errors errors = {0};
    struct conf *conf = conf_load_text("fuzz", (const char *)data, n, &errors);
    assert((conf == NULL) == (errors.n > 0));
    if (conf != NULL)
        check_conf(conf);
    conf_free(conf);
    conf_errors_fini(&errors);
    return 0;
}
