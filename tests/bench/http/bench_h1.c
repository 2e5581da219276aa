/*
 * How long reading one message head takes, in nanoseconds: the best of several rounds, so that a
 * busy machine disturbs less.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "balancer/http/h1.h"

#define ROUNDS 20
#define PARSES 50000

static const struct h1_limits limits = {.head_bytes = 32768, .target_bytes = 8192, .fields = 100};

static const char browser_request[] =
    "GET /assets/images/photo-of-a-ring.jpg?width=640&format=webp HTTP/1.1\r\n"
    "Host: images.example.com\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0\r\n"
    "Accept: image/avif,image/webp,*/*\r\n"
    "Accept-Language: en-US,en;q=0.5\r\n"
    "Accept-Encoding: gzip, deflate, br\r\n"
    "Referer: https://www.example.com/gallery/rings/index.html\r\n"
    "Connection: keep-alive\r\n"
    "Cookie: session=4f1d2c3b5a69788796a5b4c3d2e1f001; theme=dark\r\n"
    "Sec-Fetch-Dest: image\r\n"
    "Sec-Fetch-Mode: no-cors\r\n"
    "Sec-Fetch-Site: same-site\r\n"
    "If-None-Match: \"5e8c-5f3a7c1d0b2c0\"\r\n"
    "\r\n";

static const char small_request[] = "GET /index.html HTTP/1.1\r\nHost: localhost:8080\r\n\r\n";

static const char common_response[] = "HTTP/1.1 200 OK\r\n"
                                      "Server: nginx/1.22.1\r\n"
                                      "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                                      "Content-Type: text/html; charset=utf-8\r\n"
                                      "Content-Length: 612\r\n"
                                      "Last-Modified: Tue, 04 Apr 2023 08:24:30 GMT\r\n"
                                      "Connection: keep-alive\r\n"
                                      "ETag: \"642bdeae-264\"\r\n"
                                      "Accept-Ranges: bytes\r\n"
                                      "\r\n";

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void read_request(struct span head)
{
    static struct h1_request request;
    static struct h1_field request_fields[H1_MAX_FIELDS];
    h1_request_init(&request, request_fields);
    enum h1_status status = h1_request_parse(&request, &limits, head.p, head.n);
    assert(status == H1_DONE);
}

static void read_response(struct span head)
{
    static struct h1_response response;
    static struct h1_field response_fields[H1_MAX_FIELDS];
    h1_response_init(&response, response_fields);
    enum h1_status status = h1_response_parse(&response, &limits, H1_GET, head.p, head.n);
    assert(status == H1_DONE);
}

static void measure(const char *name, void (*parse)(struct span head), const char *text)
{
    struct span head = span_of(text);
    double best = 1e18;
    for (int round = 0; round < ROUNDS; round++) {
        double begin = now_ns();
        for (int i = 0; i < PARSES; i++)
            parse(head);
        double each = (now_ns() - begin) / PARSES;
        best = each < best ? each : best;
    }
    printf("%-18s %4zu bytes %7.1f ns %6.2f GB/s\n", name, head.n, best, (double)head.n / best);
}

int main(void)
{
    measure("browser request", read_request, browser_request);
    measure("small request", read_request, small_request);
    measure("common response", read_response, common_response);
    return EXIT_SUCCESS;
}
