#include "balancer/admin/pages.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "balancer/admin/api.h"
#include "balancer/http/status.h"

#define TYPE_TEXT "text/plain; charset=utf-8"
#define TYPE_JSON "application/json"
#define TYPE_METRICS "text/plain; version=0.0.4; charset=utf-8"

/* A response before it is put into bytes; text is the body. */
struct page {
    uint16_t status;
    const char *type;
    char *text;
    size_t n;
};

typedef int make_page_fn(const struct admin_source *source, struct page *ret_page);

static int page_of_text(uint16_t status, const char *text, const char *detail,
                        struct page *ret_page)
{
    char *copy;
    int n = asprintf(&copy, "%s%s\n", text, detail);
    if (n < 0)
        return -ENOMEM;
    *ret_page = (struct page){status, TYPE_TEXT, copy, (size_t)n};
    return 0;
}

static int make_metrics(const struct admin_source *source, struct page *ret_page)
{
    struct metrics_source metrics = {0};
    source->metrics(source->context, &metrics);
    struct page page = {.status = 200, .type = TYPE_METRICS};
    int error = metrics_render(&metrics, &page.text, &page.n);
    if (error == 0)
        *ret_page = page;
    return error;
}

static int make_health(const struct admin_source *source, struct page *ret_page)
{
    (void)source;
    return page_of_text(200, "ok", "", ret_page);
}

static int make_ready(const struct admin_source *source, struct page *ret_page)
{
    const char *why = "";
    if (source->ready(source->context, &why))
        return page_of_text(200, "ready", "", ret_page);
    return page_of_text(503, "not ready: ", why, ret_page);
}

static int make_index(const struct admin_source *source, struct page *ret_page)
{
    (void)source;
    return page_of_text(200,
                        "quoit " QUOIT_VERSION "\n\n"
                        "/metrics  counters, histograms and gauges, for Prometheus\n"
                        "/healthz  200 while the process runs\n"
                        "/readyz   200 while it serves, else 503 and the reason\n"
                        "\n"
                        "JSON:\n"
                        "/api/v1/pools[?pool=NAME]\n"
                        "/api/v1/hot_keys[?pool=NAME]\n"
                        "/api/v1/explain?request=HEAD[&client=ADDRESS][&pool=NAME][&key=KEY]",
                        "", ret_page);
}

static const struct {
    const char *path;
    make_page_fn *make;
} routes[] = {{"/metrics", make_metrics},
              {"/healthz", make_health},
              {"/readyz", make_ready},
              {"/", make_index}};

static make_page_fn *find_page(struct span path)
{
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (span_equal(path, span_of(routes[i].path)))
            return routes[i].make;
    return NULL;
}

/* Puts head and body together and frees the page's text. */
static int assemble(struct page *page, enum h1_method method, enum page_connection connection,
                    struct page_response *ret_response)
{
    char date[40];
    time_t now = time(NULL);
    struct tm tm;
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &tm));
    char *bytes;
    int n =
        asprintf(&bytes,
                 "HTTP/1.1 %u %s\r\nDate: %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                 "Cache-Control: no-store\r\n%s%s\r\n%.*s",
                 page->status, status_phrase(page->status), date, page->type, page->n,
                 page->status == 405 ? "Allow: GET, HEAD\r\n" : "",
                 connection == PAGE_CLOSE ? "Connection: close\r\n" : "Connection: keep-alive\r\n",
                 method == H1_HEAD ? 0 : (int)page->n, page->text);
    free(page->text);
    if (n < 0)
        return -ENOMEM;
    *ret_response = (struct page_response){bytes, (size_t)n};
    return 0;
}

static int make_api(const struct admin_source *source, const struct page_request *request,
                    struct page *ret_page)
{
    struct explain_source explained = {0};
    struct api_answer answer;
    source->explain(source->context, &explained);
    int error = api_answer(&explained, request->path, request->query, &answer);
    if (error == 0)
        *ret_page = (struct page){answer.status, TYPE_JSON, answer.text, answer.n};
    return error;
}

static int make_page(const struct admin_source *source, const struct page_request *request,
                     struct page *ret_page)
{
    make_page_fn *make = find_page(request->path);
    bool is_api = make == NULL && source->explain != NULL && api_has(request->path);
    if (make == NULL && !is_api)
        return page_of_text(404, "not found", "", ret_page);
    if (request->method != H1_GET && request->method != H1_HEAD)
        return page_of_text(405, "only GET and HEAD are allowed", "", ret_page);
    return is_api ? make_api(source, request, ret_page) : make(source, ret_page);
}

int page_answer(const struct admin_source *source, const struct page_request *request,
                struct page_response *ret_response)
{
    struct page page;
    int error = make_page(source, request, &page);
    return error != 0 ? error : assemble(&page, request->method, request->connection, ret_response);
}

int page_refuse(enum reason reason, struct page_response *ret_response)
{
    struct page page;
    int error = page_of_text(reason_status(reason), reason_word(reason), "", &page);
    return error != 0 ? error : assemble(&page, H1_GET, PAGE_CLOSE, ret_response);
}
