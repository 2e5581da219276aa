/*
 * quoit ring: who owns which part of a pool's keys, and the digest that balancers agree on.
 */
#include <string.h>

#include "balancer/cli/command.h"
#include "balancer/cli/view.h"

static const struct cli_flag flags[] = {VIEW_FLAGS};

static const struct cli_usage usage = {
    .command = "ring",
    .synopsis = "--config FILE | --admin ADDRESS [--pool NAME] [--json]",
    .text = "Shows the part of a pool's keys that each endpoint owns while all are up, beside the\n"
            "part that its weight asks for, and the ring's digest: 128 bits over algorithm,\n"
            "version, seed, identities and weights, equal in every balancer with the same view.",
    .flags = flags,
    .n_flags = sizeof(flags) / sizeof(*flags),
};

static double number(const json_t *json, const char *member)
{
    return json_number_value(json_object_get(json, member));
}

static double total_weight(const json_t *endpoints)
{
    size_t i;
    const json_t *endpoint;
    double sum = 0;
    json_array_foreach(endpoints, i, endpoint) sum += number(endpoint, "weight");
    return sum;
}

/* An endpoint's share of what its weight asks for: 1 is just that; 0 for one without weight. */
static double fairness(const json_t *endpoint, double total)
{
    double weight = number(endpoint, "weight");
    return weight > 0 ? number(endpoint, "share") * total / weight : 0;
}

static double peak_of(const json_t *endpoints)
{
    size_t i;
    const json_t *endpoint;
    double total = total_weight(endpoints), peak = 0;
    json_array_foreach(endpoints, i, endpoint)
    {
        double now = fairness(endpoint, total);
        peak = now > peak ? now : peak;
    }
    return peak;
}

static void print_endpoints(const json_t *endpoints)
{
    size_t i;
    const json_t *endpoint;
    double total = total_weight(endpoints);
    int width = view_width(endpoints, "id");
    printf("%-*s  %-12s %10s %10s %10s\n", width, "endpoint", "state", "weight", "keys",
           "of its part");
    json_array_foreach(endpoints, i, endpoint)
    {
        view_print_padded(view_text(endpoint, "id"), width, stdout);
        printf("  %-12s %10.6g %8.3f %% %10.4f\n", view_text(endpoint, "state"),
               number(endpoint, "weight"), 100 * number(endpoint, "share"),
               fairness(endpoint, total));
    }
}

static void print_ring(const json_t *pool)
{
    const json_t *ring = json_object_get(pool, "ring");
    const json_t *endpoints = json_object_get(pool, "endpoints");
    fputs("pool        ", stdout);
    view_print(view_text(pool, "name"), stdout);
    printf(" (%s, %zu endpoints, snapshot %.0f)\n", view_text(pool, "algorithm"),
           json_array_size(endpoints), number(pool, "snapshot"));
    printf("digest      %s (layout version %.0f)\n", view_text(ring, "digest"),
           number(ring, "version"));
    printf("peak        %.4f times the part that the weight asks for\n\n", peak_of(endpoints));
    print_endpoints(endpoints);
}

static int show(json_t *pool, const struct view_flags *flags_given)
{
    if (!json_is_object(json_object_get(pool, "ring"))) {
        fprintf(stderr, "quoit ring: pool %s has no ring: its algorithm is %s\n",
                view_text(pool, "name"), view_text(pool, "algorithm"));
        return CLI_EXIT_FAILED;
    }
    if (!flags_given->is_json) {
        print_ring(pool);
        return CLI_EXIT_OK;
    }
    json_object_set_new(pool, "peak", json_real(peak_of(json_object_get(pool, "endpoints"))));
    view_dump(json_incref(pool));
    return CLI_EXIT_OK;
}

int cmd_ring(int argc, char **argv)
{
    struct view_flags given = {.config = NULL};
    struct view *view;
    int first;
    int status = cli_parse(&usage, argc, argv, &given, &first);
    if (status == CLI_GO_ON)
        status = view_open("ring", &given, &view);
    if (status != CLI_GO_ON)
        return status;
    json_t *pool = view_get_pool(view);
    status = pool != NULL ? show(pool, &given) : CLI_EXIT_FAILED;
    json_decref(pool);
    view_close(view);
    return status;
}
