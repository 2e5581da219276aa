/*
 * quoit explain: builds the request that is asked about, asks (view.h), and prints the answer.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/cli/command.h"
#include "balancer/cli/view.h"

#define MAX_FIELDS 100

/* What the flags say. */
struct asked {
    struct view_flags view; /* first: see view.h */
    const char *client, *key, *method, *data;
    const char *fields[MAX_FIELDS];
    size_t n_fields;
    const char *request; /* the argument: a URL, a path or a request line; NULL: none */
};

/* A head is written out of these. */
struct parts {
    struct span method, target, host, version;
};

static int take_client(void *context, const char *value)
{
    struct asked *asked = context;
    asked->client = value;
    return 0;
}

static int take_key(void *context, const char *value)
{
    struct asked *asked = context;
    asked->key = value;
    return 0;
}

static int take_method(void *context, const char *value)
{
    struct asked *asked = context;
    asked->method = value;
    return 0;
}

static int take_data(void *context, const char *value)
{
    struct asked *asked = context;
    asked->data = value;
    return 0;
}

static int take_field(void *context, const char *value)
{
    struct asked *asked = context;
    if (strchr(value, ':') == NULL || strpbrk(value, "\r\n") != NULL) {
        cli_wrong_usage("explain", "--header expected one \"Name: value\"");
        return -EINVAL;
    }
    if (asked->n_fields == MAX_FIELDS) {
        cli_wrong_usage("explain", "--header is given more than %d times", MAX_FIELDS);
        return -EINVAL;
    }
    asked->fields[asked->n_fields++] = value;
    return 0;
}

static const struct cli_flag flags[] = {
    VIEW_FLAGS,
    {"client", "ADDRESS", "the address that the request comes from", take_client},
    {"key", "TEXT", "the hash key, instead of the request's", take_key},
    {"request", "METHOD", "the method (GET)", take_method},
    {"header", "'NAME: VALUE'", "a header field; repeatable", take_field},
    {"data", "TEXT", "the body, where the hash key is in it (POST)", take_data},
};

static const struct cli_letter letters[] = {{'X', "request"}, {'H', "header"}, {'d', "data"}};

static const struct cli_usage usage = {
    .command = "explain",
    .synopsis = "--config FILE | --admin ADDRESS [FLAG ...] [URL | PATH | 'GET /a HTTP/1.1']",
    .text = "Says which endpoint a request would go to now: the route, the key and its hash, the\n"
            "endpoints in the key's order with what keeps each from being chosen, and the choice.\n"
            "With --admin the running balancer answers, from what its workers see; with --config\n"
            "endpoints are taken as the file and one answer of Consul have them. Without a Host\n"
            "field or a URL the host is \"localhost\". Nothing is sent to any endpoint.",
    .flags = flags,
    .n_flags = sizeof(flags) / sizeof(*flags),
    .letters = letters,
    .n_letters = sizeof(letters) / sizeof(*letters),
    .max_arguments = 1,
};

/* ---- the request ---- */

static struct span up_to(const char *text, const char *end)
{
    return (struct span){(const uint8_t *)text, (size_t)(end - text)};
}

/* "GET /a HTTP/1.1" */
static void take_line(const char *line, struct parts *parts)
{
    const char *first = strchr(line, ' ');
    const char *last = strrchr(line, ' ');
    parts->method = up_to(line, first);
    parts->version = span_of(last + 1);
    parts->target = last > first ? up_to(first + 1, last) : SPAN("");
}

/* "http://host/path", "host/path" being none; the fragment stays with who has the URL. */
static void take_url(const char *url, struct parts *parts)
{
    const char *scheme_end = strstr(url, "://");
    const char *host = scheme_end != NULL ? scheme_end + 3 : url;
    const char *path = host + strcspn(host, "/?#");
    parts->host = up_to(host, path);
    parts->target = up_to(path, path + strcspn(path, "#"));
}

static void take_request(const struct asked *asked, struct parts *parts)
{
    const char *request = asked->request;
    const char *space = strchr(request, ' ');
    if (space != NULL && strstr(space, " HTTP/") != NULL)
        take_line(request, parts);
    else if (strncmp(request, "http://", 7) == 0 || strncmp(request, "https://", 8) == 0)
        take_url(request, parts);
    else
        parts->target = span_of(request);
}

static bool has_field(const struct asked *asked, const char *name)
{
    for (size_t i = 0; i < asked->n_fields; i++) {
        const char *colon = strchr(asked->fields[i], ':');
        if (span_equal_nocase(up_to(asked->fields[i], colon), span_of(name)))
            return true;
    }
    return false;
}

static void print_span(struct span span, FILE *out)
{
    fwrite(span.p, 1, span.n, out);
}

static void print_head(const struct asked *asked, FILE *out)
{
    struct parts parts = {.method = span_of(asked->data != NULL ? "POST" : "GET"),
                          .host = SPAN("localhost"),
                          .version = SPAN("HTTP/1.1")};
    if (asked->method != NULL)
        parts.method = span_of(asked->method);
    take_request(asked, &parts);
    print_span(parts.method, out);
    fputc(' ', out);
    if (parts.target.n == 0 || parts.target.p[0] == '?')
        fputc('/', out);
    print_span(parts.target, out);
    fputc(' ', out);
    print_span(parts.version, out);
    fputs("\r\n", out);
    if (!has_field(asked, "Host")) {
        fputs("Host: ", out);
        print_span(parts.host, out);
        fputs("\r\n", out);
    }
    for (size_t i = 0; i < asked->n_fields; i++)
        fprintf(out, "%s\r\n", asked->fields[i]);
    if (asked->data != NULL && !has_field(asked, "Content-Length"))
        fprintf(out, "Content-Length: %zu\r\n", strlen(asked->data));
    fprintf(out, "\r\n%s", asked->data != NULL ? asked->data : "");
}

/* The whole head, which the caller frees. */
static char *make_request(const struct asked *asked, size_t *ret_n)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, ret_n);
    if (out == NULL)
        abort();
    print_head(asked, out);
    if (fclose(out) != 0)
        abort();
    return text;
}

/* ---- the answer ---- */

static void print_label(const char *label)
{
    printf("%-12s", label);
}

static void print_route(const json_t *answer)
{
    const json_t *route = json_object_get(answer, "route");
    if (!json_is_object(route))
        return;
    print_label("route");
    view_print(view_text(route, "host"), stdout);
    view_print(view_text(route, "path"), stdout);
    putchar('\n');
}

static void print_pool(const json_t *answer)
{
    print_label("pool");
    view_print(view_text(answer, "pool"), stdout);
    printf(" (%s, snapshot %lld, %lld requests in flight)\n", view_text(answer, "algorithm"),
           (long long)json_integer_value(json_object_get(answer, "snapshot")),
           (long long)json_integer_value(json_object_get(answer, "in_flight")));
}

static void print_key(const json_t *answer)
{
    const json_t *key = json_object_get(answer, "key");
    print_label("key");
    if (!json_is_object(key)) {
        puts("none");
        return;
    }
    putchar('"');
    view_print(view_text(key, "text"), stdout);
    printf("\" %s", view_text(key, "from"));
    if (json_is_string(json_object_get(key, "source"))) {
        fputs(" = ", stdout);
        view_print(view_text(key, "source"), stdout);
    }
    double share = json_real_value(json_object_get(answer, "key_share"));
    if (share > 0)
        printf(", %.2f %% of the requests", 100 * share);
    putchar('\n');
    print_label("hash");
    printf("%s", view_text(answer, "hash"));
    if (json_is_integer(json_object_get(answer, "slot")))
        printf(", slot %lld of %lld",
               (long long)json_integer_value(json_object_get(answer, "slot")),
               (long long)json_integer_value(json_object_get(answer, "slots")));
    putchar('\n');
}

static void print_session(const json_t *answer)
{
    const json_t *session = json_object_get(answer, "session");
    if (!json_is_object(session))
        return;
    print_label("session");
    printf("cookie %s: %s\n", view_text(session, "cookie"), view_text(session, "result"));
}

static void print_candidate(const json_t *candidate, int width)
{
    const json_t *limit = json_object_get(candidate, "limit");
    const char *id = view_text(candidate, "id");
    const char *address = view_text(candidate, "address");
    printf("  %-10s  ", view_text(candidate, "verdict"));
    view_print_padded(address, width, stdout);
    printf("  %-10s since %s, weight %g, %lld in flight", view_text(candidate, "state"),
           view_text(candidate, "since"), json_number_value(json_object_get(candidate, "weight")),
           (long long)json_integer_value(json_object_get(candidate, "in_flight")));
    if (json_is_number(limit))
        printf(", limit %.4g", json_number_value(limit));
    if (strcmp(id, address) != 0) {
        fputs(", id ", stdout);
        view_print(id, stdout);
    }
    putchar('\n');
}

static void print_candidates(const json_t *answer)
{
    size_t i;
    const json_t *candidate;
    const json_t *candidates = json_object_get(answer, "candidates");
    int width = view_width(candidates, "address");
    if (json_array_size(candidates) > 0)
        puts("candidates");
    json_array_foreach(candidates, i, candidate) print_candidate(candidate, width);
}

static void print_choice(const json_t *answer)
{
    const json_t *choice = json_object_get(answer, "choice");
    print_label("choice");
    if (json_is_object(choice))
        view_print(view_text(choice, "address"), stdout);
    else
        fputs(strcmp(view_text(answer, "way"), "turn") == 0 ? "one of these" : "none", stdout);
    if (json_is_string(json_object_get(answer, "way")))
        printf(" (%s)", view_text(answer, "way"));
    if (json_is_true(json_object_get(answer, "waits")))
        fputs(", once it has room for a connection", stdout);
    putchar('\n');
    print_label("why");
    printf("%s\n", view_text(answer, "why"));
}

static void print_answer(const json_t *answer)
{
    if (json_is_string(json_object_get(answer, "pool"))) {
        print_route(answer);
        print_pool(answer);
        print_key(answer);
        print_session(answer);
        print_candidates(answer);
    }
    print_choice(answer);
}

/* ---- all of it ---- */

static struct span given(const char *text)
{
    return text != NULL ? span_of(text) : (struct span){NULL, 0};
}

static int explain_it(const struct asked *asked, struct view *view)
{
    size_t n = 0;
    char *request = asked->request != NULL ? make_request(asked, &n) : NULL;
    const struct view_argument arguments[] = {
        {"request", {(const uint8_t *)request, n}},
        {"client", given(asked->client)},
        {"pool", given(asked->view.pool)},
        {"key", given(asked->key)},
    };
    json_t *answer =
        view_get(view, "/api/v1/explain", arguments, sizeof(arguments) / sizeof(*arguments));
    free(request);
    if (answer == NULL)
        return CLI_EXIT_FAILED;
    if (asked->view.is_json) {
        view_dump(answer);
        return CLI_EXIT_OK;
    }
    print_answer(answer);
    json_decref(answer);
    return CLI_EXIT_OK;
}

int cmd_explain(int argc, char **argv)
{
    struct asked asked = {.view = {.config = NULL}};
    struct view *view;
    int first;
    int status = cli_parse(&usage, argc, argv, &asked, &first);
    if (status != CLI_GO_ON)
        return status;
    asked.request = first < argc ? argv[first] : NULL;
    if (asked.request == NULL && asked.key == NULL)
        return cli_wrong_usage("explain", "found neither a request nor --key");
    status = view_open("explain", &asked.view, &view);
    if (status != CLI_GO_ON)
        return status;
    status = explain_it(&asked, view);
    view_close(view);
    return status;
}
