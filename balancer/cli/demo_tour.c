#include "balancer/cli/demo_tour.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define ROUNDS 3
#define ORIGIN_SIZE 32
#define ATTEMPTS 100 /* to find the balancer ready, */
#define PAUSE_MS 100 /* so long apart */
#define TIMEOUT_S 5L

static const char *const keys[] = {
    "/images/cat.jpg",   "/images/dog.jpg",  "/images/fox.jpg", "/videos/intro.mp4",
    "/videos/outro.mp4", "/styles/site.css", "/index.html",     "/about.html",
};
#define N_KEYS (sizeof(keys) / sizeof(*keys))

static size_t ignore_body(char *bytes, size_t size, size_t n, void *context)
{
    (void)bytes;
    (void)context;
    return size * n;
}

/* Keeps the value of X-Origin. */
static size_t take_field(char *line, size_t size, size_t n, void *context)
{
    static const char name[] = "x-origin: ";
    char *origin = context;
    size_t length = size * n;
    if (length > strlen(name) && strncasecmp(line, name, strlen(name)) == 0) {
        snprintf(origin, ORIGIN_SIZE, "%.*s", (int)(length - strlen(name)), line + strlen(name));
        origin[strcspn(origin, "\r\n")] = '\0';
    }
    return length;
}

/* Asks for key; the status, 0 without an answer. origin becomes "" or who answered. */
static long ask(CURL *curl, uint16_t port, const char *key, char origin[ORIGIN_SIZE])
{
    char url[256];
    long status = 0;
    origin[0] = '\0';
    snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", port, key);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ignore_body);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_field);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, origin);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT_S);
    if (curl_easy_perform(curl) == CURLE_OK)
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

/* 503 is what comes until discovery has found the origins. */
static void wait_until_ready(CURL *curl, uint16_t port, const _Atomic bool *is_over)
{
    char origin[ORIGIN_SIZE];
    for (int i = 0; i < ATTEMPTS && !*is_over && ask(curl, port, "/", origin) != 200; i++) {
        const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
        nanosleep(&pause, NULL);
    }
}

/* Asks for a key ROUNDS times and prints its line. Returns 1 if it moved, 0 if not, or an
 * error. */
static int show_key(CURL *curl, uint16_t port, const char *key, const _Atomic bool *is_over)
{
    char first[ORIGIN_SIZE] = "";
    char origin[ORIGIN_SIZE];
    int has_moved = 0;
    printf("  %-20s", key);
    for (int i = 0; i < ROUNDS; i++) {
        long status = ask(curl, port, key, origin);
        if (status != 200 || origin[0] == '\0') {
            puts("");
            if (*is_over)
                return -ECANCELED;
            fprintf(stderr, "quoit demo: %s was answered %ld\n", key, status);
            return -EIO;
        }
        if (i == 0)
            memcpy(first, origin, sizeof(first));
        has_moved |= strcmp(first, origin) != 0;
        printf("%-10s", origin);
    }
    puts(has_moved ? "moved" : "stays");
    return has_moved;
}

int demo_tour_run(uint16_t port, const _Atomic bool *is_over)
{
    CURL *curl = curl_easy_init();
    if (curl == NULL) {
        fputs("quoit demo: out of memory\n", stderr);
        return -EIO;
    }
    wait_until_ready(curl, port, is_over);
    int moved = 0;
    printf("  %-20s%s\n", "key", "answered by, asked three times");
    for (size_t i = 0; i < N_KEYS && moved >= 0; i++) {
        int found = show_key(curl, port, keys[i], is_over);
        moved = found < 0 ? found : moved + found;
    }
    curl_easy_cleanup(curl);
    return moved;
}
