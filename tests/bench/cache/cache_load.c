/*
 * The load of run.py: asks a balancer for objects by Zipf's law, and counts which cache answered
 * and whether it had the object.
 *
 *     cache_load PORT RATE WARM_UP MEASURED OBJECTS EXPONENT SEED
 *
 * Open loop: requests are due by a Poisson process whatever becomes of those before, and a latency
 * counts from when its request was due. The first WARM_UP requests are not counted. The result is
 * one line of JSON. Any answer but a whole 200 with `X-Cache: STATUS PORT` ends the run.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/draw.h"
#include "tests/sim/zipf.h"

enum { CONNECTIONS = 256, MAX_PORT = 65536, IN_BYTES = 8192, MAX_EVENTS = 256 };

/* Sent so long after it was due a request is late: the machine has no time for the load, or too
 * many requests wait for an answer. */
#define LATE_S 0.01

/* Longer than this without an answer is a failure. */
#define PATIENCE_S 30

struct connection {
    int fd;       /* -1: not connected */
    bool is_busy; /* with a request */
    uint32_t object;
    double due_s;
    bool is_counted;
    size_t n_in;
    char in[IN_BYTES + 1];
};

struct load {
    uint16_t port;
    double rate, exponent;
    uint64_t warm_up, measured, seed;
    uint32_t objects;

    struct zipf *zipf;
    struct draws arrivals, choices;
    struct connection connections[CONNECTIONS];
    struct connection *idle[CONNECTIONS]; /* a stack */
    uint32_t n_idle;
    int epoll_fd;
    uint64_t n_sent, n_done;
    double next_due_s, last_done_s;

    double *latencies_s; /* of the measured ones */
    uint64_t n_latencies, hits, late;
    uint64_t by_port[MAX_PORT];
};

static _Noreturn __attribute__((format(printf, 1, 2))) void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fprintf(stderr, "cache_load: ");
    (void)vfprintf(stderr, format, arguments);
    (void)fprintf(stderr, "\n");
    va_end(arguments);
    exit(1);
}

static double now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void open_connection(struct load *load, struct connection *c)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(load->port)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    int on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 ||
        epoll_ctl(load->epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0)
        fail("no connection to port %u", load->port);
}

static void send_request(struct load *load, struct connection *c)
{
    char request[256];
    int n =
        snprintf(request, sizeof request, "GET /%llu/%u HTTP/1.1\r\nHost: cache.example\r\n\r\n",
                 (unsigned long long)load->seed, c->object);
    if (c->fd < 0)
        open_connection(load, c);
    c->n_in = 0;
    if (send(c->fd, request, (size_t)n, MSG_NOSIGNAL) != n)
        fail("a request could not be sent");
}

static void send_next(struct load *load, double now)
{
    struct connection *c = load->idle[--load->n_idle];
    c->object = zipf_draw(load->zipf, &load->choices);
    c->due_s = load->next_due_s;
    c->is_counted = load->n_sent++ >= load->warm_up;
    c->is_busy = true;
    load->late += c->is_counted && now - c->due_s > LATE_S;
    load->next_due_s += draw_exponential(&load->arrivals, 1 / load->rate);
    send_request(load, c);
}

/* Where the value of a field begins; NULL if the head lacks it. in ends with a zero byte. */
static const char *field(const struct connection *c, const char *name)
{
    const char *at = strcasestr(c->in, name);
    return at != NULL ? at + strlen(name) : NULL;
}

static void count(struct load *load, const struct connection *c, double now)
{
    const char *cache = field(c, "\r\nX-Cache: ");
    const char *port = cache != NULL ? strchr(cache, ' ') : NULL;
    if (strncmp(c->in, "HTTP/1.1 200 ", 13) != 0 || port == NULL)
        fail("an answer that is not a cache's:\n%.600s", c->in);
    load->n_done++;
    load->last_done_s = now;
    if (!c->is_counted)
        return;
    load->hits += strncmp(cache, "HIT ", 4) == 0;
    load->by_port[strtoul(port, NULL, 10) % MAX_PORT]++;
    load->latencies_s[load->n_latencies++] = now - c->due_s;
}

/* Whether the whole answer is there. */
static bool is_whole(const struct connection *c)
{
    const char *end = strstr(c->in, "\r\n\r\n");
    if (end == NULL)
        return false;
    const char *length = field(c, "\r\nContent-Length: ");
    if (length == NULL)
        fail("an answer without a length:\n%.600s", c->in);
    return c->n_in >= (size_t)(end + 4 - c->in) + strtoul(length, NULL, 10);
}

/* Idle connections may be closed at any time, also at the moment at which a request is sent. */
static void take_end(struct load *load, struct connection *c)
{
    (void)close(c->fd);
    c->fd = -1;
    if (!c->is_busy)
        return;
    if (c->n_in > 0)
        fail("a connection was closed in the middle of an answer");
    send_request(load, c);
}

static void receive(struct load *load, struct connection *c)
{
    ssize_t n = recv(c->fd, c->in + c->n_in, IN_BYTES - c->n_in, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        take_end(load, c);
        return;
    }
    c->n_in += (size_t)n;
    c->in[c->n_in] = '\0';
    if (!is_whole(c))
        return;
    count(load, c, now_s());
    c->is_busy = false;
    load->idle[load->n_idle++] = c;
}

/* Sends what is due and returns how long to wait for what comes next. */
static double send_due(struct load *load)
{
    uint64_t total = load->warm_up + load->measured;
    double now = now_s();
    while (load->n_sent < total && load->n_idle > 0 && load->next_due_s <= now)
        send_next(load, now);
    bool waits_for_time = load->n_sent < total && load->n_idle > 0;
    return waits_for_time ? fmax(load->next_due_s - now, 0) : 1;
}

static void run(struct load *load)
{
    struct epoll_event events[MAX_EVENTS];
    load->next_due_s = load->last_done_s = now_s();
    while (load->n_done < load->warm_up + load->measured) {
        double wait_s = send_due(load);
        struct timespec timeout = {.tv_sec = (time_t)wait_s,
                                   .tv_nsec = (long)((wait_s - floor(wait_s)) * 1e9)};
        int n = epoll_pwait2(load->epoll_fd, events, MAX_EVENTS, &timeout, NULL);
        for (int i = 0; i < n; i++)
            receive(load, events[i].data.ptr);
        if (now_s() - load->last_done_s > PATIENCE_S)
            fail("no answers any more");
    }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double percentile_ms(const struct load *load, double part)
{
    return load->latencies_s[(uint64_t)((double)(load->n_latencies - 1) * part)] * 1e3;
}

static void print(struct load *load)
{
    const char *comma = "";
    qsort(load->latencies_s, load->n_latencies, sizeof(double), compare);
    printf(
        "{\"requests\": %llu, \"hits\": %llu, \"late\": %llu, \"p50_ms\": %.3f, \"p99_ms\": %.3f, "
        "\"by_endpoint\": {",
        (unsigned long long)load->n_latencies, (unsigned long long)load->hits,
        (unsigned long long)load->late, percentile_ms(load, 0.5), percentile_ms(load, 0.99));
    for (uint32_t port = 0; port < MAX_PORT; port++) {
        if (load->by_port[port] == 0)
            continue;
        printf("%s\"%u\": %llu", comma, port, (unsigned long long)load->by_port[port]);
        comma = ", ";
    }
    printf("}}\n");
}

static double number(const char *text, double least, double most)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= least && value <= most))
        fail("not a number that will do: %s", text);
    return value;
}

int main(int argc, char **argv)
{
    static struct load load; /* too large for the stack */
    if (argc != 8)
        fail("usage: cache_load PORT RATE WARM_UP MEASURED OBJECTS EXPONENT SEED");
    load.port = (uint16_t)number(argv[1], 1, MAX_PORT - 1);
    load.rate = number(argv[2], 1, 1e6);
    load.warm_up = (uint64_t)number(argv[3], 0, 1e9);
    load.measured = (uint64_t)number(argv[4], 1, 1e9);
    load.objects = (uint32_t)number(argv[5], 2, 1e7);
    load.exponent = number(argv[6], 0, 3);
    load.seed = (uint64_t)number(argv[7], 0, 1e9);
    load.zipf = zipf_new(load.objects, load.exponent);
    load.arrivals = draws_of(load.seed, 0);
    load.choices = draws_of(load.seed, 1);
    load.latencies_s = calloc(load.measured, sizeof(double));
    load.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (load.latencies_s == NULL || load.epoll_fd < 0)
        fail("out of memory or descriptors");
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        load.connections[i].fd = -1;
        load.idle[load.n_idle++] = &load.connections[i];
    }
    run(&load);
    print(&load);
    zipf_free(load.zipf);
    free(load.latencies_s);
    return 0;
}
