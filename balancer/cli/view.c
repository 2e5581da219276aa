#include "balancer/cli/view.h"

#include <stdlib.h>
#include <string.h>

#include "balancer/admin/api.h"
#include "balancer/cli/command.h"
#include "balancer/cli/fetch.h"
#include "balancer/control/preview.h"
#include "balancer/explain/bytes.h"
#include "conf/load.h"

#define CONSUL_TIMEOUT_S 5.0
#define SHOWN_BYTES 200

struct view {
    const char *command;
    const struct view_flags *flags;
    struct conf *conf; /* of a configuration, with its preview; else NULL */
    struct preview *preview;
};

/* Bytes gathered in memory; its errors are looked at once, in the end. */
struct gathering {
    FILE *out;
    char *text;
    size_t n;
};

int view_take_config(void *context, const char *value)
{
    struct view_flags *flags = context;
    flags->config = value;
    return 0;
}

int view_take_admin(void *context, const char *value)
{
    struct view_flags *flags = context;
    flags->admin = value;
    return 0;
}

int view_take_pool(void *context, const char *value)
{
    struct view_flags *flags = context;
    flags->pool = value;
    return 0;
}

int view_take_json(void *context, const char *value)
{
    (void)value;
    struct view_flags *flags = context;
    flags->is_json = true;
    return 0;
}

static void *need(void *memory)
{
    if (memory == NULL) {
        fputs("quoit: out of memory\n", stderr);
        abort();
    }
    return memory;
}

/* ---- life ---- */

static int open_config(struct view *view, const char *path)
{
    struct conf_errors errors = {0};
    char why[PREVIEW_WHY_BYTES];
    view->conf = conf_load_file(path, &errors);
    conf_errors_print(&errors, stderr);
    conf_errors_fini(&errors);
    if (view->conf == NULL)
        return CLI_EXIT_FAILED;
    if (preview_new(view->conf, CONSUL_TIMEOUT_S, &view->preview, why) == 0)
        return CLI_GO_ON;
    fprintf(stderr, "quoit %s: %s\n", view->command, why);
    return CLI_EXIT_FAILED;
}

int view_open(const char *command, const struct view_flags *flags, struct view **ret_view)
{
    if ((flags->config == NULL) == (flags->admin == NULL))
        return cli_wrong_usage(command, flags->config == NULL ? "found neither --config nor --admin"
                                                              : "found --config and --admin");
    struct view *view = need(calloc(1, sizeof *view));
    *view = (struct view){.command = command, .flags = flags};
    int status = flags->config != NULL ? open_config(view, flags->config) : CLI_GO_ON;
    if (status == CLI_GO_ON)
        *ret_view = view;
    else
        view_close(view);
    return status;
}

void view_close(struct view *view)
{
    if (view == NULL)
        return;
    preview_free(view->preview);
    conf_free(view->conf);
    free(view);
}

/* ---- asking ---- */

static void gather_begin(struct gathering *gathering)
{
    *gathering = (struct gathering){.text = NULL};
    gathering->out = need(open_memstream(&gathering->text, &gathering->n));
}

static void gather_end(struct gathering *gathering)
{
    int failed = ferror(gathering->out);
    if (fclose(gathering->out) != 0 || failed != 0)
        need(NULL);
}

static bool is_unreserved(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~/:", c) != NULL);
}

/* name=value&…, encoded. */
static void print_query(const struct view_argument *arguments, size_t n, FILE *out)
{
    const char *separator = "";
    for (size_t i = 0; i < n; i++) {
        if (arguments[i].value.p == NULL)
            continue;
        fprintf(out, "%s%s=", separator, arguments[i].name);
        separator = "&";
        for (size_t k = 0; k < arguments[i].value.n; k++) {
            uint8_t c = arguments[i].value.p[k];
            fprintf(out, is_unreserved(c) ? "%c" : "%%%02X", c);
        }
    }
}

/* "http://" before an address, and this machine for one without a host. */
static void print_base(const char *admin, FILE *out)
{
    if (strstr(admin, "://") == NULL)
        fputs(admin[0] == ':' ? "http://127.0.0.1" : "http://", out);
    size_t n = strlen(admin);
    fwrite(admin, 1, n > 0 && admin[n - 1] == '/' ? n - 1 : n, out);
}

static int ask_balancer(const struct view *view, const char *path, const char *query,
                        struct fetched *ret_fetched)
{
    struct gathering url;
    char why[FETCH_WHY_BYTES];
    gather_begin(&url);
    print_base(view->flags->admin, url.out);
    fprintf(url.out, "%s?%s", path, query);
    gather_end(&url);
    int rc = fetch(url.text, ret_fetched, why);
    free(url.text);
    if (rc != 0)
        fprintf(stderr, "quoit %s: %s: %s\n", view->command, view->flags->admin, why);
    return rc;
}

static int ask_preview(const struct view *view, const char *path, const char *query,
                       struct fetched *ret_fetched)
{
    struct api_answer answer = {0};
    int rc = api_answer(preview_source(view->preview), span_of(path), span_of(query), &answer);
    if (rc != 0)
        need(NULL);
    *ret_fetched = (struct fetched){.status = answer.status, .text = answer.text, .n = answer.n};
    return 0;
}

/* The answer's object; NULL after saying what is wrong with it. */
static json_t *read_answer(const struct view *view, const struct fetched *fetched)
{
    json_error_t error;
    json_t *json = json_loadb(fetched->text, fetched->n, JSON_ALLOW_NUL, &error);
    const char *refusal = view_text(json, "error");
    if (json_is_object(json) && fetched->status == 200)
        return json;
    fprintf(stderr, "quoit %s: ", view->command);
    if (refusal[0] != '\0')
        view_print(refusal, stderr);
    else if (fetched->status == 414 || fetched->status == 431)
        fputs("the question is too long for an admin listener", stderr);
    else
        fprintf(stderr, "%s answers %ld, and not as quoit's admin listener does",
                view->flags->admin, fetched->status);
    fputc('\n', stderr);
    json_decref(json);
    return NULL;
}

json_t *view_get(struct view *view, const char *path, const struct view_argument *arguments,
                 size_t n)
{
    struct gathering query;
    struct fetched fetched;
    gather_begin(&query);
    print_query(arguments, n, query.out);
    gather_end(&query);
    int rc = view->preview != NULL ? ask_preview(view, path, query.text, &fetched)
                                   : ask_balancer(view, path, query.text, &fetched);
    free(query.text);
    if (rc != 0)
        return NULL;
    json_t *json = read_answer(view, &fetched);
    free(fetched.text);
    return json;
}

static void say_which(const struct view *view, const json_t *pools)
{
    size_t i;
    const json_t *pool;
    fprintf(stderr, "quoit %s: which pool? --pool takes", view->command);
    json_array_foreach(pools, i, pool)
    {
        fputs(i > 0 ? ", " : " ", stderr);
        view_print(view_text(pool, "name"), stderr);
    }
    fputc('\n', stderr);
}

json_t *view_get_pool(struct view *view)
{
    const char *name = view->flags->pool;
    const struct view_argument argument = {"pool",
                                           name != NULL ? span_of(name) : (struct span){NULL, 0}};
    json_t *json = view_get(view, "/api/v1/pools", &argument, 1);
    const json_t *pools = json_object_get(json, "pools");
    json_t *pool = NULL;
    if (json_array_size(pools) == 1)
        pool = json_incref(json_array_get(pools, 0));
    else if (json != NULL)
        say_which(view, pools);
    json_decref(json);
    return pool;
}

/* ---- printing ---- */

void view_print_padded(const char *text, int width, FILE *out)
{
    char shown[SHOWN_BYTES];
    bytes_print(span_of(text), shown, sizeof shown);
    fprintf(out, "%-*s", width, shown);
}

void view_print(const char *text, FILE *out)
{
    view_print_padded(text, 0, out);
}

int view_width(const json_t *list, const char *member)
{
    size_t i, width = 8;
    const json_t *item;
    json_array_foreach(list, i, item)
    {
        char shown[SHOWN_BYTES];
        size_t n = bytes_print(span_of(view_text(item, member)), shown, sizeof shown);
        width = n > width ? n : width;
    }
    return (int)width;
}

const char *view_text(const json_t *json, const char *member)
{
    const char *text = json_string_value(json_object_get(json, member));
    return text != NULL ? text : "";
}

void view_dump(json_t *json)
{
    json_dumpf(json, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(json);
}
