/*
 * quoit plan: reads a pool as it is (view.h), changes it on paper, and compares (explain/plan.h).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/cli/command.h"
#include "balancer/cli/view.h"
#include "balancer/explain/recall.h"
#include "conf/units.h"

#define MAX_CHANGES 4096

enum change_kind { CHANGE_ADD, CHANGE_REMOVE, CHANGE_WEIGHT };

struct change {
    enum change_kind kind;
    char *id; /* of a flag's value, its own */
    double weight;
};

/* What the flags say. */
struct asked {
    struct view_flags view; /* first: see view.h */
    struct change *changes;
    size_t n_changes;
    double limit; /* of the keys moved; negative: none */
};

/* A pool on paper. */
struct sheet {
    const json_t *pool;
    json_t *hot_keys; /* a reference */
    struct ring_options options;
    struct plan_endpoint *endpoints;
    size_t n, n_known; /* the first are those of the pool as it is */
    struct plan_hot_key *hot;
    size_t n_hot;
    struct plan plan;
};

static void *need(void *memory)
{
    if (memory == NULL) {
        fputs("quoit: out of memory\n", stderr);
        abort();
    }
    return memory;
}

/* ---- flags ---- */

static int add_change(struct asked *asked, enum change_kind kind, const char *id, size_t id_n,
                      double weight)
{
    if (asked->n_changes == MAX_CHANGES) {
        cli_wrong_usage("plan", "found more than %d changes", MAX_CHANGES);
        return -EINVAL;
    }
    asked->changes = need(realloc(asked->changes, (asked->n_changes + 1) * sizeof(struct change)));
    asked->changes[asked->n_changes++] =
        (struct change){.kind = kind, .id = need(strndup(id, id_n)), .weight = weight};
    return 0;
}

/* Of the range that configurations have. */
static bool parse_weight(const char *text, double *ret_weight)
{
    double weight;
    if (conf_parse_decimal(text, &weight) != 0 || weight > 65536)
        return false;
    *ret_weight = weight;
    return true;
}

static int take_add(void *context, const char *value)
{
    const char *equals = strrchr(value, '=');
    double weight = 1;
    if (equals == value || value[0] == '\0' ||
        (equals != NULL && !parse_weight(equals + 1, &weight))) {
        cli_wrong_usage("plan", "--add found \"%s\", expected ADDRESS or ADDRESS=WEIGHT", value);
        return -EINVAL;
    }
    size_t n = equals != NULL ? (size_t)(equals - value) : strlen(value);
    return add_change(context, CHANGE_ADD, value, n, weight);
}

static int take_remove(void *context, const char *value)
{
    return add_change(context, CHANGE_REMOVE, value, strlen(value), 0);
}

static int take_weight(void *context, const char *value)
{
    const char *equals = strrchr(value, '=');
    double weight;
    if (equals == NULL || equals == value || !parse_weight(equals + 1, &weight)) {
        cli_wrong_usage("plan", "--weight found \"%s\", expected ID=WEIGHT", value);
        return -EINVAL;
    }
    return add_change(context, CHANGE_WEIGHT, value, (size_t)(equals - value), weight);
}

/* "15" or "15%". */
static bool parse_percent(const char *text, double *ret_share)
{
    double percent;
    size_t n = strlen(text);
    char *number = need(strndup(text, n > 0 && text[n - 1] == '%' ? n - 1 : n));
    bool is_valid = conf_parse_decimal(number, &percent) == 0 && percent <= 100;
    free(number);
    if (is_valid)
        *ret_share = percent / 100;
    return is_valid;
}

static int take_limit(void *context, const char *value)
{
    struct asked *asked = context;
    if (parse_percent(value, &asked->limit))
        return 0;
    cli_wrong_usage("plan", "--fail-if-moved-over found \"%s\", expected a percentage", value);
    return -EINVAL;
}

static const struct cli_flag flags[] = {
    VIEW_FLAGS,
    {"add", "ADDRESS[=WEIGHT]", "an endpoint more, by its address or identity; repeatable",
     take_add},
    {"remove", "ID", "an endpoint less, by its identity or address; repeatable", take_remove},
    {"weight", "ID=WEIGHT", "another weight for an endpoint; repeatable", take_weight},
    {"fail-if-moved-over", "PERCENT", "exit with 3 if more of the keys move", take_limit},
};

static const struct cli_usage usage = {
    .command = "plan",
    .synopsis = "--config FILE | --admin ADDRESS [--pool NAME] CHANGE ...",
    .text =
        "Says what a change of a pool's endpoints would do to its keys: how many move, how many\n"
        "of these have to, and each endpoint's part before and after. Slot tables are compared\n"
        "slot by slot, other rings by a million keys. Asked of a running balancer it also\n"
        "weighs by traffic: hot keys where they are, the rest by their part of the keys.\n"
        "Endpoints count as if up. Exits 0, 1 if that cannot be said, 3 if more keys would\n"
        "move than they may.",
    .flags = flags,
    .n_flags = sizeof(flags) / sizeof(*flags),
};

/* ---- the pool as it is ---- */

static int complain(const struct sheet *sheet, const char *what, const char *more)
{
    fputs("quoit plan: pool ", stderr);
    view_print(view_text(sheet->pool, "name"), stderr);
    fprintf(stderr, " %s", what);
    view_print(more, stderr);
    fputc('\n', stderr);
    return CLI_EXIT_FAILED;
}

/* Whether this program lays the ring out just as the balancer has it. */
static bool is_same_ring(const struct sheet *sheet)
{
    char digest[RECALL_DIGEST_SIZE];
    const char *theirs = view_text(json_object_get(sheet->pool, "ring"), "digest");
    return recall_digest(&sheet->options, sheet->endpoints, sheet->n_known, digest) == 0 &&
           strcmp(digest, theirs) == 0;
}

static int read_sheet(struct sheet *sheet, size_t room)
{
    size_t n_hot = json_array_size(json_object_get(sheet->hot_keys, "keys"));
    sheet->n = sheet->n_known = json_array_size(json_object_get(sheet->pool, "endpoints"));
    sheet->endpoints = need(calloc(sheet->n + room + 1, sizeof sheet->endpoints[0]));
    sheet->hot = need(calloc(n_hot + 1, sizeof sheet->hot[0]));
    sheet->n_hot = n_hot;
    int rc = recall_options(sheet->pool, &sheet->options);
    if (rc == -ENOENT)
        return complain(sheet, "has no ring: its algorithm is ",
                        view_text(sheet->pool, "algorithm"));
    if (rc == 0)
        rc = recall_endpoints(sheet->pool, sheet->endpoints);
    if (rc == 0)
        rc = recall_hot_keys(sheet->hot_keys, sheet->hot);
    if (rc != 0 || !is_same_ring(sheet))
        return complain(sheet, "is laid out by another version of quoit: ask with that one", "");
    return CLI_GO_ON;
}

/* ---- the change ---- */

static const char *address_of(const struct sheet *sheet, size_t i)
{
    return i < sheet->n_known
               ? view_text(json_array_get(json_object_get(sheet->pool, "endpoints"), i), "address")
               : sheet->endpoints[i].id;
}

/* By identity, else by address; NULL if there is none or, by address, several. */
static struct plan_endpoint *find_endpoint(struct sheet *sheet, const char *id)
{
    struct plan_endpoint *found = NULL;
    size_t n_found = 0;
    for (size_t i = 0; i < sheet->n; i++) {
        if (strcmp(sheet->endpoints[i].id, id) == 0)
            return &sheet->endpoints[i];
        if (strcmp(address_of(sheet, i), id) == 0) {
            found = &sheet->endpoints[i];
            n_found++;
        }
    }
    return n_found == 1 ? found : NULL;
}

static int make_change(struct sheet *sheet, const struct change *change)
{
    struct plan_endpoint *endpoint = find_endpoint(sheet, change->id);
    bool is_there = endpoint != NULL && endpoint->after.is_there;
    if (change->kind == CHANGE_ADD && is_there)
        return complain(sheet, "already has the endpoint ", change->id);
    if (change->kind != CHANGE_ADD && !is_there)
        return complain(sheet, "has no endpoint ", change->id);
    if (endpoint == NULL) {
        endpoint = &sheet->endpoints[sheet->n++];
        *endpoint = (struct plan_endpoint){.id = change->id};
    }
    endpoint->after.is_there = change->kind != CHANGE_REMOVE;
    endpoint->after.weight = change->weight;
    return CLI_GO_ON;
}

/* An endpoint's place in the order that numbers them. */
struct place {
    struct plan_endpoint *endpoint;
    bool is_discovered;
    size_t position;
};

static int by_place(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->is_discovered != y->is_discovered)
        return x->is_discovered ? 1 : -1;
    if (x->is_discovered)
        return strcmp(x->endpoint->id, y->endpoint->id);
    return (x->position > y->position) - (x->position < y->position);
}

/* As control numbers them (merge.h): static ones as configured, those that are added at the end,
 * and discovered ones behind them by identity. */
static void number_endpoints(struct sheet *sheet)
{
    bool has_service = json_is_string(json_object_get(sheet->pool, "service"));
    json_int_t n_static = json_integer_value(json_object_get(sheet->pool, "static_endpoints"));
    struct place *places = need(calloc(sheet->n + 1, sizeof places[0]));
    size_t n = 0;
    for (size_t i = 0; i < sheet->n; i++) {
        struct plan_endpoint *endpoint = &sheet->endpoints[i];
        size_t position = i < sheet->n_known ? endpoint->before.position : SIZE_MAX / 2 + i;
        if (endpoint->after.is_there)
            places[n++] =
                (struct place){.endpoint = endpoint,
                               .is_discovered = has_service && position >= (size_t)n_static,
                               .position = position};
    }
    if (n > 0)
        qsort(places, n, sizeof places[0], by_place);
    for (size_t i = 0; i < n; i++)
        places[i].endpoint->after.position = (uint32_t)i;
    free(places);
}

/* ---- the result ---- */

static json_t *side_to_json(const struct plan_side *side)
{
    if (!side->is_there)
        return json_null();
    return json_pack("{s:f, s:f, s:f}", "weight", side->weight, "share", side->share, "load",
                     side->load);
}

static bool is_over(const struct asked *asked, const struct plan *plan)
{
    return asked->limit >= 0 && plan->moved > asked->limit;
}

static void print_json(const struct sheet *sheet, const struct asked *asked)
{
    const struct plan *plan = &sheet->plan;
    json_t *endpoints = json_array();
    for (size_t i = 0; i < sheet->n; i++) {
        const struct plan_endpoint *endpoint = &sheet->endpoints[i];
        json_array_append_new(endpoints, json_pack("{s:s, s:o, s:o}", "id", endpoint->id, "before",
                                                   side_to_json(&endpoint->before), "after",
                                                   side_to_json(&endpoint->after)));
    }
    json_t *json = json_object();
    json_object_set(json, "pool", json_object_get(sheet->pool, "name"));
    json_object_set(json, "snapshot", json_object_get(sheet->pool, "snapshot"));
    json_object_set_new(json, "moved", json_real(plan->moved));
    json_object_set_new(json, "necessary", json_real(plan->necessary));
    json_object_set_new(json, "beyond", json_real(plan->moved - plan->necessary));
    json_object_set_new(json, "moved_traffic", json_real(plan->moved_traffic));
    json_object_set_new(json, "hot_keys", json_integer((json_int_t)sheet->n_hot));
    json_object_set_new(json, "compared", json_integer((json_int_t)plan->n_tried));
    json_object_set_new(json, "is_exact", json_boolean(plan->is_exact));
    json_object_set_new(json, "is_over", json_boolean(is_over(asked, plan)));
    json_object_set_new(json, "endpoints", endpoints);
    view_dump(json);
}

/* A pair of columns: before and after, a dash where the endpoint is not. */
static void print_pair(const struct plan_endpoint *endpoint, double before, double after,
                       double factor)
{
    char texts[2][16] = {"-", "-"};
    if (endpoint->before.is_there)
        snprintf(texts[0], sizeof texts[0], "%.4g", before * factor);
    if (endpoint->after.is_there)
        snprintf(texts[1], sizeof texts[1], "%.4g", after * factor);
    printf("   %8s %8s", texts[0], texts[1]);
}

static int id_width(const struct sheet *sheet)
{
    int width = view_width(json_object_get(sheet->pool, "endpoints"), "id");
    for (size_t i = sheet->n_known; i < sheet->n; i++) {
        int now = (int)strnlen(sheet->endpoints[i].id, 100);
        width = now > width ? now : width;
    }
    return width;
}

static void print_table(const struct sheet *sheet)
{
    int width = id_width(sheet);
    printf("%-*s   %17s   %17s", width, "", "weight", "% of the keys");
    printf(sheet->n_hot > 0 ? "   %17s\n" : "\n", "% of the traffic");
    printf("%-*s", width, "endpoint");
    for (int i = 0; i < (sheet->n_hot > 0 ? 3 : 2); i++)
        printf("   %8s %8s", "before", "after");
    putchar('\n');
    for (size_t i = 0; i < sheet->n; i++) {
        const struct plan_endpoint *endpoint = &sheet->endpoints[i];
        view_print_padded(endpoint->id, width, stdout);
        print_pair(endpoint, endpoint->before.weight, endpoint->after.weight, 1);
        print_pair(endpoint, endpoint->before.share, endpoint->after.share, 100);
        if (sheet->n_hot > 0)
            print_pair(endpoint, endpoint->before.load, endpoint->after.load, 100);
        putchar('\n');
    }
}

static void print_plan(const struct sheet *sheet)
{
    const struct plan *plan = &sheet->plan;
    fputs("pool        ", stdout);
    view_print(view_text(sheet->pool, "name"), stdout);
    printf(" (%s, snapshot %lld)\n", view_text(sheet->pool, "algorithm"),
           (long long)json_integer_value(json_object_get(sheet->pool, "snapshot")));
    printf("keys        %.2f %% move: %.2f %% have to, %.2f %% beyond that (%s %llu %s)\n",
           100 * plan->moved, 100 * plan->necessary, 100 * (plan->moved - plan->necessary),
           plan->is_exact ? "all" : "of", (unsigned long long)plan->n_tried,
           plan->is_exact ? "slots" : "keys tried");
    if (sheet->n_hot > 0)
        printf("traffic     %.2f %% moves (%zu hot keys are known)\n", 100 * plan->moved_traffic,
               sheet->n_hot);
    putchar('\n');
    print_table(sheet);
}

/* ---- all of it ---- */

static int make_plan(struct sheet *sheet, const struct asked *asked)
{
    int status = read_sheet(sheet, asked->n_changes);
    for (size_t i = 0; i < asked->n_changes && status == CLI_GO_ON; i++)
        status = make_change(sheet, &asked->changes[i]);
    if (status != CLI_GO_ON)
        return status;
    number_endpoints(sheet);
    if (plan_make(&sheet->options, sheet->endpoints, sheet->n, sheet->hot, sheet->n_hot,
                  &sheet->plan) != 0)
        return complain(sheet, "cannot be laid out so: there are too many endpoints or points", "");
    if (asked->view.is_json)
        print_json(sheet, asked);
    else
        print_plan(sheet);
    if (!is_over(asked, &sheet->plan))
        return CLI_EXIT_OK;
    fprintf(stderr, "quoit plan: %.2f %% of the keys would move, more than %.4g %%\n",
            100 * sheet->plan.moved, 100 * asked->limit);
    return CLI_EXIT_OVER;
}

static int plan_pool(const struct asked *asked, struct view *view)
{
    struct sheet sheet = {.pool = NULL};
    json_t *pool = view_get_pool(view);
    int status = CLI_EXIT_FAILED;
    if (pool != NULL) {
        const struct view_argument argument = {"pool", span_of(view_text(pool, "name"))};
        sheet.pool = pool;
        sheet.hot_keys = view_get(view, "/api/v1/hot_keys", &argument, 1);
    }
    if (sheet.hot_keys != NULL)
        status = make_plan(&sheet, asked);
    free(sheet.endpoints);
    free(sheet.hot);
    json_decref(sheet.hot_keys);
    json_decref(pool);
    return status;
}

static void free_changes(struct asked *asked)
{
    for (size_t i = 0; i < asked->n_changes; i++)
        free(asked->changes[i].id);
    free(asked->changes);
}

int cmd_plan(int argc, char **argv)
{
    struct asked asked = {.limit = -1};
    struct view *view = NULL;
    int first;
    int status = cli_parse(&usage, argc, argv, &asked, &first);
    if (status == CLI_GO_ON && asked.n_changes == 0)
        status = cli_wrong_usage("plan", "found no change: --add, --remove or --weight");
    if (status == CLI_GO_ON)
        status = view_open("plan", &asked.view, &view);
    if (status == CLI_GO_ON)
        status = plan_pool(&asked, view);
    view_close(view);
    free_changes(&asked);
    return status;
}
