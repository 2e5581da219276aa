#include "balancer/cli/demo_consul.h"

#include <curl/curl.h>
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TIMEOUT_S 5L
#define ATTEMPTS 100 /* to find an origin listed, */
#define PAUSE_MS 100 /* so long apart */
#define ID_SIZE 96

/* The process in the ID keeps two demos at one agent apart. */
static void print_id(const struct demo_origin *origin, char id[ID_SIZE])
{
    snprintf(id, ID_SIZE, DEMO_SERVICE "-%ld-%s", (long)getpid(), demo_origin_name(origin));
}

/* A request to the agent and the answer's body as text. */
struct call {
    const char *agent, *method, *path;
    const char *body; /* to send, or NULL */
    FILE *answer;
};

static size_t take_body(char *bytes, size_t size, size_t n, void *context)
{
    return fwrite(bytes, size, n, context);
}

static CURLcode perform(CURL *curl, const struct call *call, char *why, long *ret_status)
{
    char url[512];
    snprintf(url, sizeof(url), "%s%s", call->agent, call->path);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
    if (call->body != NULL)
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call->body);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, call->answer);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT_S);
    CURLcode code = curl_easy_perform(curl);
    if (code == CURLE_OK)
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, ret_status);
    return code;
}

/* Returns 0 for an answer 200, else -EIO after printing why. */
static int call_agent(const struct call *call)
{
    char why[CURL_ERROR_SIZE] = "out of memory";
    long status = 0;
    CURL *curl = curl_easy_init();
    CURLcode code = curl == NULL ? CURLE_OUT_OF_MEMORY : perform(curl, call, why, &status);
    curl_easy_cleanup(curl);
    if (code != CURLE_OK)
        fprintf(stderr, "quoit demo: Consul at %s: %s\n", call->agent, why);
    else if (status != 200)
        fprintf(stderr, "quoit demo: Consul at %s: %s answered %ld\n", call->agent, call->path,
                status);
    return code == CURLE_OK && status == 200 ? 0 : -EIO;
}

/* The answer's body, which the caller frees; NULL after printing why there is none. */
static char *call_for_text(const char *agent, const char *method, const char *path,
                           const char *body)
{
    char *text = NULL;
    size_t n = 0;
    FILE *answer = open_memstream(&text, &n);
    if (answer == NULL) {
        fputs("quoit demo: out of memory\n", stderr);
        return NULL;
    }
    const struct call call = {
        .agent = agent, .method = method, .path = path, .body = body, .answer = answer};
    int error = call_agent(&call);
    if (fclose(answer) != 0 || error != 0) {
        free(text);
        return NULL;
    }
    return text;
}

static int put(const char *agent, const char *path, const char *body)
{
    char *text = call_for_text(agent, "PUT", path, body);
    free(text);
    return text == NULL ? -EIO : 0;
}

/* The registration's body; the caller frees it. NULL when memory is out. */
static char *registration(const struct demo_origin *origin)
{
    char id[ID_SIZE];
    char address[32];
    print_id(origin, id);
    snprintf(address, sizeof(address), "127.0.0.1:%u", demo_origin_port(origin));
    json_t *object =
        json_pack("{ss ss ss si s{ss ss ss ss}}", "ID", id, "Name", DEMO_SERVICE, "Address",
                  "127.0.0.1", "Port", (int)demo_origin_port(origin), "Check", "TCP", address,
                  "Interval", "1s", "Status", "passing", "DeregisterCriticalServiceAfter", "1m");
    char *text = object == NULL ? NULL : json_dumps(object, JSON_COMPACT);
    json_decref(object);
    return text;
}

int demo_consul_register(const char *agent, const struct demo_origin *origin)
{
    char *body = registration(origin);
    if (body == NULL) {
        fputs("quoit demo: out of memory\n", stderr);
        return -EIO;
    }
    int error = put(agent, "/v1/agent/service/register", body);
    free(body);
    return error;
}

int demo_consul_await(const char *agent, const struct demo_origin *origin)
{
    char id[ID_SIZE];
    print_id(origin, id);
    for (int i = 0; i < ATTEMPTS; i++) {
        char *text =
            call_for_text(agent, "GET", "/v1/health/service/" DEMO_SERVICE "?passing", NULL);
        if (text == NULL)
            return -EIO;
        bool is_listed = strstr(text, id) != NULL;
        free(text);
        if (is_listed)
            return 0;
        const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
        nanosleep(&pause, NULL);
    }
    fprintf(stderr, "quoit demo: Consul at %s does not list %s\n", agent, id);
    return -EIO;
}

void demo_consul_deregister(const char *agent, const struct demo_origin *origin)
{
    char id[ID_SIZE];
    char path[ID_SIZE + 64];
    print_id(origin, id);
    snprintf(path, sizeof(path), "/v1/agent/service/deregister/%s", id);
    (void)put(agent, path, "");
}
