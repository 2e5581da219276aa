/*
 * The bench's open-loop client: requests at a constant rate, and how long they take.
 *
 *     bench_rate PORT CONNECTIONS REQUESTS_PER_SECOND SECONDS TARGET [HEADER ...]
 *
 * Request i is due at start + i / rate, whether or not earlier ones have been answered, and its
 * time counts from that moment: when all connections are busy it waits, and the waiting is part of
 * the latency (no coordinated omission). Writes one line of JSON with the percentiles. Any answer
 * but a 200 with a Content-Length ends the run with an error.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CONNECTIONS = 1024, MAX_EVENTS = 256, REQUEST_BYTES = 4096, ANSWER_BYTES = 128 * 1024 };
#define NS_PER_S INT64_C(1000000000)
/* After the last request is due, answers may take this long. */
#define GRACE_NS (10 * NS_PER_S)

struct connection {
    int fd;
    int64_t due_ns; /* of the request under way */
    size_t n_in;    /* bytes of its answer so far */
    char in[ANSWER_BYTES];
};

static struct connection *idle[MAX_CONNECTIONS]; /* a stack */
static size_t n_idle;
static char request[REQUEST_BYTES];
static size_t request_bytes;
static int64_t *latencies_ns;
static size_t n_answered, n_sent, n_total;
static int64_t start_ns;
static double rate;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void fail(const char *what)
{
    (void)fprintf(stderr, "bench_rate: %s\n", what);
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static int64_t due_ns(size_t i)
{
    return start_ns + (int64_t)((double)i / rate * (double)NS_PER_S);
}

static void append(const char *format, const char *a, const char *b)
{
    int n = snprintf(request + request_bytes, sizeof(request) - request_bytes, format, a, b);
    if (n < 0 || (size_t)n >= sizeof(request) - request_bytes)
        fail("the request is too long");
    request_bytes += (size_t)n;
}

static void make_request(const char *port, const char *target, char **headers, int n_headers)
{
    append("GET %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\n", target, port);
    for (int i = 0; i < n_headers; i++)
        append("%s%s", headers[i], "\r\n");
    append("%s%s", "\r\n", "");
}

static void open_connection(int epoll_fd, uint16_t port)
{
    struct connection *c = calloc(1, sizeof(*c));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int one = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (c == NULL || (c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0 ||
        connect(c->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        die("connect");
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0)
        die("epoll_ctl");
    idle[n_idle++] = c;
}

/* Sends all requests that are due while there are idle connections. */
static void send_due(void)
{
    int64_t now = now_ns();
    while (n_idle > 0 && n_sent < n_total && due_ns(n_sent) <= now) {
        struct connection *c = idle[--n_idle];
        c->due_ns = due_ns(n_sent++);
        c->n_in = 0;
        /* Small beside a socket's buffer, which is empty: it goes at once. */
        if (send(c->fd, request, request_bytes, MSG_NOSIGNAL) != (ssize_t)request_bytes)
            die("send");
    }
}

/* Whether the whole answer is there. */
static bool is_whole(struct connection *c)
{
    static const char field[] = "\r\ncontent-length: ";
    const char *end = memmem(c->in, c->n_in, "\r\n\r\n", 4);
    if (end == NULL)
        return false;
    if (memcmp(c->in, "HTTP/1.1 200 ", 13) != 0)
        fail("an answer is no 200");
    for (const char *line = c->in; line < end;) {
        line = memchr(line + 1, '\r', (size_t)(end + 1 - line - 1));
        if (line != NULL && strncasecmp(line, field, sizeof(field) - 1) == 0)
            return c->n_in >=
                   (size_t)(end + 4 - c->in) + strtoul(line + sizeof(field) - 1, NULL, 10);
        if (line == NULL)
            break;
    }
    fail("an answer has no Content-Length");
    return false;
}

static void receive(struct connection *c)
{
    ssize_t n = recv(c->fd, c->in + c->n_in, sizeof(c->in) - c->n_in, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        fail("a connection was closed, or an answer is too long");
    c->n_in += (size_t)n;
    if (!is_whole(c))
        return;
    latencies_ns[n_answered++] = now_ns() - c->due_ns;
    idle[n_idle++] = c;
}

/* Sleeps until an answer comes or, if one can be sent, the next request is due. */
static void turn(int epoll_fd)
{
    struct epoll_event events[MAX_EVENTS];
    int64_t until = n_idle > 0 && n_sent < n_total ? due_ns(n_sent) : due_ns(n_total) + GRACE_NS;
    int64_t wait = until - now_ns();
    struct timespec timeout = {0};

    if (wait > 0)
        timeout = (struct timespec){.tv_sec = wait / NS_PER_S, .tv_nsec = wait % NS_PER_S};
    else if (n_sent == n_total)
        fail("answers are missing");
    int n = epoll_pwait2(epoll_fd, events, MAX_EVENTS, &timeout, NULL);
    if (n < 0 && errno != EINTR)
        die("epoll_pwait2");
    for (int i = 0; i < n; i++)
        receive(events[i].data.ptr);
    send_due();
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double percentile_us(double share)
{
    return (double)latencies_ns[(size_t)(share * (double)(n_total - 1))] / 1000.0;
}

static void report(void)
{
    double seconds = (double)(now_ns() - start_ns) / (double)NS_PER_S;
    qsort(latencies_ns, n_total, sizeof(*latencies_ns), compare);
    printf("{\"requests\": %zu, \"seconds\": %.6f, \"p50_us\": %.1f, \"p99_us\": %.1f, "
           "\"p999_us\": %.1f}\n",
           n_total, seconds, percentile_us(0.5), percentile_us(0.99), percentile_us(0.999));
}

int main(int argc, char **argv)
{
    if (argc < 6) {
        (void)fprintf(stderr, "usage: bench_rate PORT CONNECTIONS REQUESTS_PER_SECOND SECONDS "
                              "TARGET [HEADER ...]\n");
        return 2;
    }
    unsigned long n_connections = strtoul(argv[2], NULL, 10);
    rate = strtod(argv[3], NULL);
    n_total = (size_t)(rate * strtod(argv[4], NULL));
    if (n_connections < 1 || n_connections > MAX_CONNECTIONS || !(rate > 0) || n_total < 1)
        fail("a number is out of range");
    latencies_ns = calloc(n_total, sizeof(*latencies_ns));
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (latencies_ns == NULL || epoll_fd < 0)
        die("start");
    (void)prctl(PR_SET_TIMERSLACK, 1UL); /* or every sleep is 50 us too long */
    make_request(argv[1], argv[5], argv + 6, argc - 6);
    for (unsigned long i = 0; i < n_connections; i++)
        open_connection(epoll_fd, (uint16_t)strtoul(argv[1], NULL, 10));
    start_ns = now_ns();
    while (n_answered < n_total)
        turn(epoll_fd);
    report();
}
