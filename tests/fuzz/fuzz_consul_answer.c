/* Any bytes as Consul's answer: refused as a whole, or a set that keeps what its header promises.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "discovery/consul_answer.h"
#include "discovery/instance_set.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_instance(const struct instance *instance)
{
    assert(instance->node[0] != '\0' && instance->service_id[0] != '\0');
    assert(instance->host[0] != '\0' && strlen(instance->host) <= 253);
    assert(strpbrk(instance->host, " /[]\r\n\t\"") == NULL);
    assert(instance->port != 0);
    assert(instance->meta == NULL || (instance->meta[0] != '\0' && strlen(instance->meta) <= 512));
    assert(instance->status <= INSTANCE_MAINTENANCE);
    assert(instance->weight >= 0 && instance->weight <= 65536);
}

/* No two share a place; quadratic, so only where the set is small. */
static void check_places(const struct instance_set *set)
{
    for (size_t i = 0; i < set->n && set->n < 64; i++)
        for (size_t j = 0; j < i; j++)
            assert(set->list[i].port != set->list[j].port ||
                   strcmp(set->list[i].host, set->list[j].host) != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct instance_set *set = NULL;
    const char *why = NULL;
    int error = consul_answer_parse((const char *)data, n, "shard", &set, &why);
    assert((error == 0) == (set != NULL) && (error == 0) == (why == NULL));
    if (error != 0)
        return 0;
    for (size_t i = 0; i < set->n; i++) {
        check_instance(&set->list[i]);
        assert(i == 0 || instance_compare_identity(&set->list[i - 1], &set->list[i]) < 0);
    }
    check_places(set);
    struct instance_set *copy = instance_set_copy(set);
    assert(copy != NULL && instance_set_equal(set, copy) && !instance_set_removes(set, copy));
    instance_set_free(copy);
    instance_set_free(set);
    return 0;
}
