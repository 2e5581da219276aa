#include "discovery/consul_url.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Percent-encodes all but RFC 3986's unreserved characters. */
static void put_escaped(FILE *out, const char *text)
{
    static const char unreserved[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                     "0123456789-._~";
    for (; *text != '\0'; text++) {
        if (strchr(unreserved, *text) != NULL)
            fputc(*text, out);
        else
            fprintf(out, "%%%02X", (unsigned)(unsigned char)*text);
    }
}

/* Adds "key=value" behind the right separator, which it returns for the next one. */
static char put_parameter(FILE *out, char separator, const char *key, const char *value)
{
    if (value == NULL)
        return separator;
    fprintf(out, "%c%s=", separator, key);
    put_escaped(out, value);
    return '&';
}

static void put_url(FILE *out, const char *base, const struct consul_query *query)
{
    const struct conf_service *service = query->service;
    size_t n_base = strlen(base);
    while (n_base > 0 && base[n_base - 1] == '/')
        n_base--;
    fwrite(base, 1, n_base, out);
    fputs("/v1/health/service/", out);
    put_escaped(out, service->name);
    char separator = put_parameter(out, '?', "dc", service->datacenter);
    separator = put_parameter(out, separator, "tag", service->tag);
    separator = put_parameter(out, separator, "filter", service->filter);
    if (query->mode == CONSUL_STALE) {
        fprintf(out, "%cstale", separator);
        separator = '&';
    }
    if (query->index > 0)
        fprintf(out, "%cindex=%" PRIu64 "&wait=%" PRIu32 "ms", separator, query->index,
                query->wait_ms);
}

char *consul_url_build(const char *base, const struct consul_query *query)
{
    char *url = NULL;
    size_t n_bytes = 0;
    FILE *out = open_memstream(&url, &n_bytes);
    if (out == NULL)
        return NULL;
    put_url(out, base, query);
    if (fclose(out) != 0) {
        free(url);
        return NULL;
    }
    return url;
}
