#include "balancer/cli/fetch.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_BYTES ((size_t)64 << 20)
#define TIMEOUT_S 10L

static_assert(FETCH_WHY_BYTES >= CURL_ERROR_SIZE, "libcurl writes so much");

/* libcurl calls it with a size of 1. */
static size_t take_bytes(char *bytes, size_t size, size_t n, void *context)
{
    struct fetched *fetched = context;
    (void)size;
    if (n > MAX_BYTES - fetched->n)
        return 0;
    char *text = realloc(fetched->text, fetched->n + n + 1);
    if (text == NULL)
        return 0;
    memcpy(text + fetched->n, bytes, n);
    fetched->n += n;
    text[fetched->n] = '\0';
    fetched->text = text;
    return n;
}

static CURLcode perform(CURL *curl, const char *url, struct fetched *fetched, char *why)
{
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, fetched);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &fetched->status);
    if (code != CURLE_OK && why[0] == '\0')
        snprintf(why, FETCH_WHY_BYTES, "%s", curl_easy_strerror(code));
    return code;
}

int fetch(const char *url, struct fetched *ret_fetched, char ret_why[FETCH_WHY_BYTES])
{
    struct fetched fetched = {.text = NULL};
    ret_why[0] = '\0';
    curl_global_init(CURL_GLOBAL_DEFAULT);
    CURL *curl = curl_easy_init();
    CURLcode code = curl == NULL ? CURLE_FAILED_INIT : perform(curl, url, &fetched, ret_why);
    curl_easy_cleanup(curl);
    curl_global_cleanup();
    if (code == CURLE_OK && fetched.text != NULL) {
        *ret_fetched = fetched;
        return 0;
    }
    if (ret_why[0] == '\0')
        snprintf(ret_why, FETCH_WHY_BYTES, "the answer is empty");
    free(fetched.text);
    return -EIO;
}
