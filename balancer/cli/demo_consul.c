#include "balancer/cli/demo_consul.h"

#include <curl/curl.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TIMEOUT_S 5L
#define ID_SIZE 96

/* The process in the ID keeps two demos at one agent apart. */
static void print_id(const struct demo_origin *origin, char id[ID_SIZE])
{
    snprintf(id, ID_SIZE, DEMO_SERVICE "-%ld-%s", (long)getpid(), demo_origin_name(origin));
}

static size_t ignore_body(char *bytes, size_t size, size_t n, void *context)
{
    (void)bytes;
    (void)context;
    return size * n;
}

/* A PUT with a JSON body (or none). Returns 0 or -EIO, after printing why. */
static int put(const char *agent, const char *path, const char *body)
{
    char url[512];
    char why[CURL_ERROR_SIZE] = "out of memory";
    long status = 0;
    CURL *curl = curl_easy_init();
    snprintf(url, sizeof(url), "%s%s", agent, path);
    CURLcode code = CURLE_OUT_OF_MEMORY;
    if (curl != NULL) {
        curl_easy_setopt(curl, CURLOPT_URL, url);
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, "PUT");
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ignore_body);
        curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
        curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
        curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT_S);
        code = curl_easy_perform(curl);
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    }
    curl_easy_cleanup(curl);
    if (code != CURLE_OK)
        fprintf(stderr, "quoit demo: Consul at %s: %s\n", agent, why);
    else if (status != 200)
        fprintf(stderr, "quoit demo: Consul at %s: %s answered %ld\n", agent, path, status);
    return code == CURLE_OK && status == 200 ? 0 : -EIO;
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

void demo_consul_deregister(const char *agent, const struct demo_origin *origin)
{
    char id[ID_SIZE];
    char path[ID_SIZE + 64];
    print_id(origin, id);
    snprintf(path, sizeof(path), "/v1/agent/service/deregister/%s", id);
    (void)put(agent, path, "");
}
