#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <time.h>

#include "discovery/discovery.h"
#include "tests/unit/scripted_server.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Bodies: instances a and b of a service, b alone, and what an agent may answer instead. */
#define INSTANCE(id, host)                                                                         \
    "{\"Node\":{\"Node\":\"n\",\"Datacenter\":\"dc1\",\"Address\":\"\"},\"Service\":{\"ID\":\"" id \
    "\",\"Address\":\"" host "\",\"Port\":80}}"
#define A INSTANCE("a", "10.0.0.1")
#define B INSTANCE("b", "10.0.0.2")

#define INDEX(i) "X-Consul-Index: " i "\r\n"
#define LEADER "X-Consul-KnownLeader: true\r\nX-Consul-LastContact: 0\r\n"
#define NO_LEADER "X-Consul-KnownLeader: false\r\nX-Consul-LastContact: 0\r\n"
#define FILTERED "X-Consul-Results-Filtered-By-ACLs: true\r\n"
#define DENY "X-Consul-Default-ACL-Policy: deny\r\n"

static const struct step answer_a = {.fields = INDEX("10") LEADER, .body = "[" A "]"};
static const struct step answer_ab = {.fields = INDEX("20") LEADER, .body = "[" A "," B "]"};

enum { MAX_EVENTS = 512, PATIENCE_S = 60 };

struct seen_event {
    enum discovery_event_type type;
    size_t pool, n_instances;
    char error[256], address[128];
    uint32_t retry_ms;
    uint64_t index, at_ms;
};

/* A configuration of one pool, the discovery that runs on it, and what its observer was told. */
struct fixture {
    struct conf conf;
    char urls[4][64];
    char *addresses[4];
    struct conf_pool pools[128];
    struct discovery *discovery;
    pthread_mutex_t lock;
    pthread_cond_t told;
    struct seen_event events[MAX_EVENTS];
    size_t n_events;
    bool on_caller_thread, takes_signals;
    pthread_t caller;
};

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void observe(void *context, const struct discovery_event *event)
{
    struct fixture *f = context;
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    pthread_mutex_lock(&f->lock);
    f->on_caller_thread |= pthread_equal(pthread_self(), f->caller) != 0;
    f->takes_signals |= sigismember(&mask, SIGTERM) != 1 || sigismember(&mask, SIGPIPE) != 1;
    if (f->n_events < MAX_EVENTS) {
        struct seen_event *seen = &f->events[f->n_events++];
        *seen = (struct seen_event){.type = event->type,
                                    .pool = event->pool,
                                    .n_instances = event->set != NULL ? event->set->n : 0,
                                    .retry_ms = event->retry_ms,
                                    .index = event->index,
                                    .at_ms = now_ms()};
        snprintf(seen->error, sizeof seen->error, "%s", event->error ? event->error : "");
        snprintf(seen->address, sizeof seen->address, "%s", event->address);
    }
    pthread_cond_broadcast(&f->told);
    pthread_mutex_unlock(&f->lock);
    instance_set_free(event->set);
}

static struct timespec deadline(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    return until;
}

/* The n-th event (from 0) of this type, waiting until it comes. */
static struct seen_event wait_for_event(struct fixture *f, enum discovery_event_type type, size_t n)
{
    struct timespec until = deadline();
    pthread_mutex_lock(&f->lock);
    for (;;) {
        size_t n_found = 0;
        for (size_t i = 0; i < f->n_events; i++) {
            if (f->events[i].type == type && n_found++ == n) {
                struct seen_event event = f->events[i];
                pthread_mutex_unlock(&f->lock);
                return event;
            }
        }
        if (pthread_cond_timedwait(&f->told, &f->lock, &until) != 0)
            break;
    }
    pthread_mutex_unlock(&f->lock);
    fail_msg("event %zu of type %d did not come", n, (int)type);
    return (struct seen_event){0};
}

static size_t count_events(struct fixture *f, enum discovery_event_type type)
{
    pthread_mutex_lock(&f->lock);
    size_t n = 0;
    for (size_t i = 0; i < f->n_events; i++)
        n += f->events[i].type == type;
    pthread_mutex_unlock(&f->lock);
    return n;
}

/* The head of the n-th request (from 0), waiting until it comes. Stays until the server stops. */
static const char *wait_for_request(struct scripted_server *server, size_t n)
{
    struct timespec until = deadline();
    int error = 0;
    pthread_mutex_lock(&server->lock);
    while (server->n_requests <= n && error == 0)
        error = pthread_cond_timedwait(&server->asked, &server->lock, &until);
    pthread_mutex_unlock(&server->lock);
    if (error != 0)
        fail_msg("request %zu did not come", n);
    return server->requests[n];
}

static void assert_asked(struct scripted_server *server, size_t n, const char *start)
{
    const char *request = wait_for_request(server, n);
    if (strncmp(request, start, strlen(start)) != 0)
        fail_msg("request %zu is not \"%s\" but:\n%s", n, start, request);
}

#define ASK_AT_ONCE "GET /v1/health/service/web HTTP"
#define ASK_FROM(i) "GET /v1/health/service/web?index=" i "&wait=60000ms HTTP"

static struct fixture *set_up_pools(struct scripted_server *const *servers, size_t n_servers,
                                    size_t n_pools)
{
    static char name[] = "web";
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    for (size_t i = 0; i < n_servers; i++) {
        snprintf(f->urls[i], sizeof f->urls[i], "http://127.0.0.1:%d", servers[i]->port);
        f->addresses[i] = f->urls[i];
    }
    for (size_t i = 0; i < n_pools; i++)
        f->pools[i].service.name = name;
    f->conf.pools = f->pools;
    f->conf.n_pools = n_pools;
    f->conf.consul = (struct conf_consul){
        .addresses = f->addresses,
        .n_addresses = n_servers,
        .wait_ms = 60000,
        .connect_timeout_ms = 1000,
        .max_stale_ms = 5000,
        .hold_ms = 300,
        .backoff_min_ms = 10,
        .backoff_max_ms = 100,
    };
    f->caller = pthread_self();
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->told, NULL);
    return f;
}

static struct fixture *set_up(struct scripted_server *server)
{
    return set_up_pools(&server, 1, 1);
}

static void start(struct fixture *f)
{
    assert_int_equal(discovery_start(&f->conf, observe, f, &f->discovery), 0);
}

static void tear_down(struct fixture *f)
{
    uint64_t started_ms = now_ms();
    discovery_stop(f->discovery);
    assert_true(now_ms() - started_ms < 2000);
    assert_false(f->on_caller_thread);
    assert_false(f->takes_signals);
    pthread_cond_destroy(&f->told);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

/* A running server and discovery on it, for tests that need nothing special. */
#define BEGIN(steps)                                                                               \
    struct scripted_server *server = server_start(steps, COUNT(steps));                            \
    struct fixture *f = set_up(server);                                                            \
    server_serve(server);                                                                          \
    start(f)
#define END()                                                                                      \
    tear_down(f);                                                                                  \
    server_stop(server)

static void test_a_service_is_reported_and_followed_by_its_index(void **state)
{
    (void)state;
    const struct step steps[] = {answer_a, answer_ab};
    BEGIN(steps);
    struct seen_event first = wait_for_event(f, DISCOVERY_UPDATED, 0);
    assert_int_equal(first.n_instances, 1);
    assert_int_equal(first.index, 10);
    assert_string_equal(first.address, f->urls[0]);
    assert_int_equal(wait_for_event(f, DISCOVERY_UPDATED, 1).n_instances, 2);
    assert_asked(server, 0, ASK_AT_ONCE);
    assert_asked(server, 1, ASK_FROM("10"));
    assert_asked(server, 2, ASK_FROM("20"));
    assert_non_null(strstr(server->requests[0], "\r\nUser-Agent: quoit\r\n"));
    assert_null(strstr(server->requests[0], "X-Consul-Token"));
    END();
}

static void test_an_index_without_a_change_is_no_update(void **state)
{
    (void)state;
    const struct step steps[] = {
        answer_a,
        {.fields = INDEX("11") LEADER, .body = "[" A "]"},
        {.fields = INDEX("11") LEADER, .body = "[ " A " ]"},
        answer_ab,
    };
    BEGIN(steps);
    assert_int_equal(wait_for_event(f, DISCOVERY_UPDATED, 1).n_instances, 2);
    assert_int_equal(count_events(f, DISCOVERY_CONTACTED), 2);
    assert_int_equal(wait_for_event(f, DISCOVERY_CONTACTED, 0).index, 11);
    assert_asked(server, 3, ASK_FROM("11"));
    END();
}

static void test_an_instance_that_is_left_out_is_news(void **state)
{
    (void)state;
    const struct step steps[] = {
        answer_a,
        {.fields = INDEX("11") LEADER, .body = "[" A ",null]"},
        {.fields = INDEX("12") LEADER, .body = "[{}," A "]"},
        answer_a,
    };
    BEGIN(steps);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(wait_for_event(f, DISCOVERY_UPDATED, i).n_instances, 1);
    assert_int_equal(count_events(f, DISCOVERY_CONTACTED), 1);
    END();
}

static void test_an_index_that_goes_backwards_starts_over(void **state)
{
    (void)state;
    const struct step steps[] = {
        answer_a,
        {.fields = INDEX("3") LEADER, .body = "[" A "," B "]"},
        answer_a,
    };
    BEGIN(steps);
    assert_int_equal(wait_for_event(f, DISCOVERY_UPDATED, 2).n_instances, 1);
    assert_asked(server, 1, ASK_FROM("10"));
    assert_asked(server, 2, ASK_AT_ONCE);
    assert_asked(server, 3, ASK_FROM("10"));
    END();
}

static void test_an_index_that_is_zero_or_missing_is_never_blocked_on(void **state)
{
    (void)state;
    const struct step steps[] = {
        {.fields = INDEX("0") LEADER, .body = "[" A "]"},
        {.fields = LEADER, .body = "[" A "," B "]"},
        {.fields = INDEX("soon") LEADER, .body = "[" A "]"},
    };
    BEGIN(steps);
    assert_int_equal(wait_for_event(f, DISCOVERY_UPDATED, 2).n_instances, 1);
    assert_asked(server, 0, ASK_AT_ONCE);
    assert_asked(server, 1, ASK_FROM("1"));
    assert_asked(server, 2, ASK_AT_ONCE);
    assert_asked(server, 3, ASK_FROM("1"));
    END();
}

static void test_after_an_error_the_set_stays_and_the_watch_goes_on(void **state)
{
    (void)state;
    const struct step steps[] = {
        answer_a,
        {.status = 500, .body = "No cluster leader\nand more"},
        {.status = 503, .fields = INDEX("99"), .body = "\x1b[31m"},
        {.kind = STEP_CLOSE}, /* a connection in use before: libcurl tries another */
        {.kind = STEP_CLOSE},
        {.status = 404},
        {.status = 302, .fields = "Location: /elsewhere\r\n"},
        answer_a,
        answer_ab,
    };
    BEGIN(steps);
    assert_int_equal(wait_for_event(f, DISCOVERY_UPDATED, 1).n_instances, 2);
    assert_int_equal(count_events(f, DISCOVERY_FAILED), 5);
    assert_int_equal(count_events(f, DISCOVERY_CONTACTED), 1);
    struct seen_event failed = wait_for_event(f, DISCOVERY_FAILED, 0);
    assert_string_equal(failed.error, "HTTP 500: No cluster leader");
    assert_in_range(failed.retry_ms, 10, 100);
    assert_string_equal(wait_for_event(f, DISCOVERY_FAILED, 1).error, "HTTP 503: ?[31m");
    assert_string_equal(wait_for_event(f, DISCOVERY_FAILED, 3).error, "HTTP 404");
    assert_asked(server, 1, ASK_FROM("10"));
    for (size_t i = 2; i <= 7; i++)
        assert_asked(server, i, ASK_AT_ONCE);
    assert_asked(server, 8, ASK_FROM("10"));
    END();
}

static void test_an_answer_that_cannot_be_read_whole_is_an_error(void **state)
{
    (void)state;
    const struct step steps[] = {
        answer_ab,
        {.fields = INDEX("30") LEADER, .body = "[" A},
        {.fields = INDEX("30") LEADER, .body = "null"},
        {.fields = INDEX("30") LEADER, .body = ""},
        {.fields = INDEX("30") LEADER, .body = "{}"},
        {.kind = STEP_CUT, .fields = INDEX("30") LEADER, .body = "[]          "},
        {.fields = INDEX("40") LEADER, .body = "[" A "]"},
    };
    BEGIN(steps);
    assert_int_equal(wait_for_event(f, DISCOVERY_UPDATED, 1).n_instances, 1);
    assert_int_equal(count_events(f, DISCOVERY_FAILED), 5);
    assert_int_equal(wait_for_event(f, DISCOVERY_FAILED, 0).index, 20);
    assert_string_equal(wait_for_event(f, DISCOVERY_FAILED, 0).error, "the answer is truncated");
    for (size_t i = 2; i <= 6; i++)
        assert_asked(server, i, ASK_AT_ONCE);
    END();
}

static void test_a_question_that_is_wrong_is_asked_again_slowly(void **state)
{
    (void)state;
    const struct step steps[] = {{.status = 400, .body = "Invalid filter"}, answer_a};
    BEGIN(steps);
    wait_for_event(f, DISCOVERY_UPDATED, 0);
    assert_int_equal(wait_for_event(f, DISCOVERY_FAILED, 0).retry_ms, 100);
    END();
}

/* Within its deadline: the wait, a sixteenth, time to connect, and five seconds to send. */
static void assert_deadline_ends(enum step_kind kind)
{
    const struct step steps[] = {answer_a, {.kind = kind}, answer_ab};
    struct scripted_server *server = server_start(steps, COUNT(steps));
    struct fixture *f = set_up(server);
    f->conf.consul.wait_ms = 160;
    f->conf.consul.connect_timeout_ms = 100;
    server_serve(server);
    start(f);
    uint64_t asked_ms = wait_for_event(f, DISCOVERY_UPDATED, 0).at_ms;
    struct seen_event failed = wait_for_event(f, DISCOVERY_FAILED, 0);
    assert_in_range(failed.at_ms - asked_ms, 5270, 15000);
    assert_non_null(strstr(failed.error, "timed out"));
    assert_int_equal(wait_for_event(f, DISCOVERY_UPDATED, 1).n_instances, 2);
    tear_down(f);
    server_stop(server);
}

static void test_a_hung_connection_ends_at_its_deadline(void **state)
{
    (void)state;
    assert_deadline_ends(STEP_HANG);
}

static void test_an_agent_that_trickles_ends_at_its_deadline(void **state)
{
    (void)state;
    assert_deadline_ends(STEP_TRICKLE);
}

static void test_a_body_without_end_is_cut_off(void **state)
{
    (void)state;
    const struct step steps[] = {{.kind = STEP_FLOOD}, answer_a};
    BEGIN(steps);
    wait_for_event(f, DISCOVERY_UPDATED, 0);
    assert_string_equal(wait_for_event(f, DISCOVERY_FAILED, 0).error,
                        "the answer is larger than 64 MiB");
    END();
}

static void test_an_empty_answer_empties_the_pool_only_after_the_hold(void **state)
{
    (void)state;
    const struct step steps[] = {answer_a, {.fields = INDEX("11") LEADER, .body = "[]"}};
    struct scripted_server *server = server_start(steps, COUNT(steps));
    server->repeat_last = true;
    struct fixture *f = set_up(server);
    f->conf.consul.stale = true;
    server_serve(server);
    start(f);
    struct seen_event held = wait_for_event(f, DISCOVERY_HELD, 0);
    struct seen_event emptied = wait_for_event(f, DISCOVERY_UPDATED, 1);
    assert_int_equal(emptied.n_instances, 0);
    assert_true(emptied.at_ms - held.at_ms >= 290);
    /* Affirmed several times. */
    assert_true(count_events(f, DISCOVERY_HELD) >= 3);
    assert_int_equal(count_events(f, DISCOVERY_CONTACTED), 0);
    /* Meanwhile the leader is asked, and not for a change. */
    assert_asked(server, 0, "GET /v1/health/service/web?stale HTTP");
    assert_asked(server, 1, "GET /v1/health/service/web?stale&index=10&wait=60000ms HTTP");
    assert_asked(server, 2, ASK_AT_ONCE);
    assert_asked(server, 3, ASK_AT_ONCE);
    tear_down(f);
    server_stop(server);
}

static void test_instances_that_come_back_revoke_the_hold(void **state)
{
    (void)state;
    const struct step empty = {.fields = INDEX("11") LEADER, .body = "[]"};
    const struct step steps[] = {answer_a, empty, empty, answer_a, answer_ab};
    BEGIN(steps);
    assert_int_equal(wait_for_event(f, DISCOVERY_UPDATED, 1).n_instances, 2);
    assert_int_equal(count_events(f, DISCOVERY_HELD), 2);
    assert_int_equal(count_events(f, DISCOVERY_CONTACTED), 1);
    assert_asked(server, 4, ASK_FROM("10"));
    END();
}

static void test_a_service_that_is_empty_from_the_start_is_reported_empty(void **state)
{
    (void)state;
    const struct step steps[] = {{.fields = INDEX("5") LEADER, .body = "[]"}, answer_a};
    BEGIN(steps);
    assert_int_equal(wait_for_event(f, DISCOVERY_UPDATED, 0).n_instances, 0);
    assert_int_equal(wait_for_event(f, DISCOVERY_UPDATED, 1).n_instances, 1);
    assert_int_equal(count_events(f, DISCOVERY_HELD), 0);
    END();
}

/* However often: more answers than the hold would need. */
static void assert_never_applied(const struct step *dubious)
{
    enum { N = 20 };
    struct step steps[N + 2] = {answer_ab};
    for (size_t i = 1; i <= N; i++)
        steps[i] = *dubious;
    steps[N + 1] = (struct step){.fields = INDEX("99") LEADER,
                                 .body = "[" A "," B "," INSTANCE("c", "10.0.0.3") "]"};
    BEGIN(steps);
    assert_int_equal(wait_for_event(f, DISCOVERY_UPDATED, 1).n_instances, 3);
    assert_int_equal(count_events(f, DISCOVERY_HELD), N);
    struct seen_event last = wait_for_event(f, DISCOVERY_HELD, N - 1);
    assert_true(last.at_ms - wait_for_event(f, DISCOVERY_HELD, 0).at_ms >= 600);
    END();
}

static void test_what_acls_filter_away_is_never_removed(void **state)
{
    (void)state;
    assert_never_applied(&(struct step){.fields = INDEX("21") LEADER FILTERED, .body = "[]"});
    assert_never_applied(&(struct step){.fields = INDEX("21") LEADER FILTERED, .body = "[" A "]"});
}

static void test_emptiness_before_a_client_without_rights_is_not_believed(void **state)
{
    (void)state;
    assert_never_applied(&(struct step){.fields = INDEX("21") LEADER DENY, .body = "[]"});
}

static void test_emptiness_without_a_known_leader_is_not_believed(void **state)
{
    (void)state;
    assert_never_applied(&(struct step){.fields = INDEX("21") NO_LEADER, .body = "[]"});
    assert_never_applied(&(struct step){.fields = INDEX("21"), .body = "[]"});
}

static void test_what_is_too_old_is_asked_for_again_consistently(void **state)
{
    (void)state;
    const struct step steps[] = {
        answer_a,
        {.fields = INDEX("11") "X-Consul-KnownLeader: true\r\nX-Consul-LastContact: 5001\r\n",
         .body = "[" B "]"},
        {.fields = INDEX("12") LEADER, .body = "[" A "," B "]"},
        {.fields = INDEX("13") NO_LEADER, .body = "[]"},
        {.status = 500, .body = "No cluster leader"},
        {.fields = INDEX("14") LEADER, .body = "[" A "]"},
    };
    struct scripted_server *server = server_start(steps, COUNT(steps));
    struct fixture *f = set_up(server);
    f->conf.consul.stale = true;
    server_serve(server);
    start(f);
    assert_int_equal(wait_for_event(f, DISCOVERY_UPDATED, 0).n_instances, 1);
    assert_int_equal(wait_for_event(f, DISCOVERY_UPDATED, 1).n_instances, 2);
    assert_int_equal(wait_for_event(f, DISCOVERY_UPDATED, 2).n_instances, 1);
    assert_int_equal(count_events(f, DISCOVERY_HELD), 0);
    assert_asked(server, 1, "GET /v1/health/service/web?stale&index=10&");
    assert_asked(server, 2, ASK_AT_ONCE);
    assert_asked(server, 3, "GET /v1/health/service/web?stale&index=12&");
    assert_asked(server, 4, ASK_AT_ONCE);
    assert_asked(server, 5, "GET /v1/health/service/web?stale HTTP");
    tear_down(f);
    server_stop(server);
}

static void test_at_the_start_an_old_answer_is_better_than_none(void **state)
{
    (void)state;
    const struct step steps[] = {
        {.fields = INDEX("11") NO_LEADER, .body = "[" A "]"},
        {.status = 500, .body = "No cluster leader"},
    };
    struct scripted_server *server = server_start(steps, COUNT(steps));
    struct fixture *f = set_up(server);
    f->conf.consul.stale = true;
    server_serve(server);
    start(f);
    assert_int_equal(wait_for_event(f, DISCOVERY_UPDATED, 0).n_instances, 1);
    assert_string_equal(wait_for_event(f, DISCOVERY_FAILED, 0).error,
                        "HTTP 500: No cluster leader");
    tear_down(f);
    server_stop(server);
}

/* The first agent takes bad steps, the second good ones. */
static void assert_other_agent_asked_at_once(const struct step *bad, size_t n_bad)
{
    const struct step good[] = {answer_ab};
    struct scripted_server *servers[] = {server_start(bad, n_bad), server_start(good, COUNT(good))};
    struct fixture *f = set_up_pools(servers, 2, 1);
    server_serve(servers[0]);
    server_serve(servers[1]);
    start(f);
    struct seen_event failed = wait_for_event(f, DISCOVERY_FAILED, 0);
    assert_int_equal(failed.retry_ms, 0);
    assert_string_equal(failed.address, f->urls[0]);
    struct seen_event updated = wait_for_event(f, DISCOVERY_UPDATED, n_bad - 1);
    assert_int_equal(updated.n_instances, 2);
    assert_string_equal(updated.address, f->urls[1]);
    /* Another agent's index means nothing here. */
    assert_asked(servers[1], 0, ASK_AT_ONCE);
    assert_asked(servers[1], 1, ASK_FROM("20"));
    tear_down(f);
    server_stop(servers[0]);
    server_stop(servers[1]);
}

static void test_another_agent_is_asked_at_once_without_the_index(void **state)
{
    (void)state;
    assert_other_agent_asked_at_once(&(struct step){.status = 429, .body = "slow down"}, 1);
    assert_other_agent_asked_at_once(&(struct step){.status = 500, .body = "rpc error"}, 1);
    assert_other_agent_asked_at_once(&(struct step){.kind = STEP_CLOSE}, 1);
    const struct step steps[] = {answer_a, {.status = 429}};
    assert_other_agent_asked_at_once(steps, 2);
}

static void test_an_agent_that_refuses_connections_is_passed_over(void **state)
{
    (void)state;
    const struct step steps[] = {answer_a};
    struct scripted_server *servers[] = {server_start(NULL, 0), server_start(steps, COUNT(steps))};
    shutdown(servers[0]->listener, SHUT_RDWR);
    struct fixture *f = set_up_pools(servers, 2, 1);
    server_serve(servers[1]);
    start(f);
    assert_string_equal(wait_for_event(f, DISCOVERY_UPDATED, 0).address, f->urls[1]);
    assert_int_equal(wait_for_event(f, DISCOVERY_FAILED, 0).retry_ms, 0);
    tear_down(f);
    server_stop(servers[1]);
    server_serve(servers[0]);
    server_stop(servers[0]);
}

static void test_when_every_agent_failed_the_watch_backs_off(void **state)
{
    (void)state;
    const struct step bad[] = {{.status = 500}, {.status = 500}, {.status = 500}};
    struct scripted_server *servers[] = {server_start(bad, 3), server_start(bad, 3)};
    struct fixture *f = set_up_pools(servers, 2, 1);
    server_serve(servers[0]);
    server_serve(servers[1]);
    start(f);
    for (size_t i = 0; i < 6; i++) {
        struct seen_event failed = wait_for_event(f, DISCOVERY_FAILED, i);
        assert_string_equal(failed.address, f->urls[i % 2]);
        assert_int_equal(failed.retry_ms > 0, i % 2 == 1);
    }
    tear_down(f);
    server_stop(servers[0]);
    server_stop(servers[1]);
}

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void test_a_token_file_is_read_anew_for_each_query(void **state)
{
    (void)state;
    const struct step steps[] = {answer_a, {.status = 403, .body = "ACL not found"}, answer_ab};
    char path[] = "/tmp/quoit-token-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    write_file(path, "first-token\n");
    struct scripted_server *server = server_start(steps, COUNT(steps));
    struct fixture *f = set_up(server);
    f->conf.consul.token_file = path;
    server_serve(server);
    start(f);
    assert_non_null(strstr(wait_for_request(server, 1), "\r\nX-Consul-Token: first-token\r\n"));
    wait_for_event(f, DISCOVERY_FAILED, 0);
    assert_string_equal(wait_for_event(f, DISCOVERY_FAILED, 0).error, "HTTP 403: ACL not found");
    assert_int_equal(wait_for_event(f, DISCOVERY_UPDATED, 1).n_instances, 2);
    tear_down(f);
    server_stop(server);

    write_file(path, "");
    server = server_start(steps, COUNT(steps));
    f = set_up(server);
    f->conf.consul.token_file = path;
    server_serve(server);
    start(f);
    assert_string_equal(wait_for_event(f, DISCOVERY_FAILED, 0).error, "cannot read the token file");
    write_file(path, "second-token");
    assert_non_null(strstr(wait_for_request(server, 0), "\r\nX-Consul-Token: second-token\r\n"));
    /* Emptied for a moment while it is replaced: the token at hand still serves. */
    write_file(path, "");
    assert_int_equal(wait_for_event(f, DISCOVERY_UPDATED, 1).n_instances, 2);
    tear_down(f);
    server_stop(server);
    unlink(path);
}

static void test_a_configured_token_goes_in_its_header(void **state)
{
    (void)state;
    const struct step steps[] = {answer_a};
    static char token[] = "secret";
    struct scripted_server *server = server_start(steps, COUNT(steps));
    struct fixture *f = set_up(server);
    f->conf.consul.token = token;
    server_serve(server);
    start(f);
    assert_non_null(strstr(wait_for_request(server, 0), "\r\nX-Consul-Token: secret\r\n"));
    assert_null(strstr(wait_for_request(server, 1), "?token="));
    tear_down(f);
    server_stop(server);
}

static void test_a_service_that_never_rests_is_asked_for_slowly(void **state)
{
    (void)state;
    const struct step steps[] = {answer_a};
    struct scripted_server *server = server_start(steps, COUNT(steps));
    server->repeat_last = true;
    struct fixture *f = set_up(server);
    server_serve(server);
    start(f);
    uint64_t first_ms = wait_for_event(f, DISCOVERY_UPDATED, 0).at_ms;
    uint64_t sixth_ms = wait_for_event(f, DISCOVERY_CONTACTED, 5).at_ms;
    /* Two are free, each further one costs a refill, of 100 ms at the very least. */
    assert_true(sixth_ms - first_ms >= 390);
    tear_down(f);
    server_stop(server);
}

static void test_a_hundred_queries_at_most_run_at_once_and_all_get_their_turn(void **state)
{
    (void)state;
    enum { N_POOLS = 120 };
    const struct step steps[] = {answer_a};
    struct scripted_server *server = server_start(steps, COUNT(steps));
    server->repeat_last = server->blocks = true;
    struct fixture *f = set_up_pools(&server, 1, N_POOLS);
    f->conf.consul.connect_timeout_ms = 100;
    server_serve(server);
    start(f);
    /* A hundred block; the last pools have their turn as those end at their deadline. */
    bool seen[N_POOLS] = {false};
    for (size_t i = 0; i < N_POOLS; i++) {
        size_t pool = wait_for_event(f, DISCOVERY_UPDATED, i).pool;
        assert_false(seen[pool]);
        seen[pool] = true;
    }
    pthread_mutex_lock(&server->lock);
    assert_int_equal(server->max_peers, 100);
    pthread_mutex_unlock(&server->lock);
    size_t n = 0;
    while (strstr(wait_for_request(server, n), "index=") == NULL)
        n++;
    assert_asked(server, n, "GET /v1/health/service/web?index=10&wait=2000ms HTTP");
    tear_down(f);
    server_stop(server);
}

static void test_stopping_ends_a_query_that_hangs(void **state)
{
    (void)state;
    const struct step steps[] = {{.kind = STEP_HANG}};
    BEGIN(steps);
    wait_for_request(server, 0);
    END(); /* which asserts the time it takes */
}

static void test_without_a_service_nothing_runs(void **state)
{
    (void)state;
    struct scripted_server *server = server_start(NULL, 0);
    struct fixture *f = set_up(server);
    f->pools[0].service.name = NULL;
    server_serve(server);
    start(f);
    tear_down(f);
    assert_int_equal(server->n_requests, 0);
    server_stop(server);
    discovery_stop(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_service_is_reported_and_followed_by_its_index),
        cmocka_unit_test(test_an_index_without_a_change_is_no_update),
        cmocka_unit_test(test_an_instance_that_is_left_out_is_news),
        cmocka_unit_test(test_an_index_that_goes_backwards_starts_over),
        cmocka_unit_test(test_an_index_that_is_zero_or_missing_is_never_blocked_on),
        cmocka_unit_test(test_after_an_error_the_set_stays_and_the_watch_goes_on),
        cmocka_unit_test(test_an_answer_that_cannot_be_read_whole_is_an_error),
        cmocka_unit_test(test_a_question_that_is_wrong_is_asked_again_slowly),
        cmocka_unit_test(test_a_hung_connection_ends_at_its_deadline),
        cmocka_unit_test(test_an_agent_that_trickles_ends_at_its_deadline),
        cmocka_unit_test(test_a_body_without_end_is_cut_off),
        cmocka_unit_test(test_an_empty_answer_empties_the_pool_only_after_the_hold),
        cmocka_unit_test(test_instances_that_come_back_revoke_the_hold),
        cmocka_unit_test(test_a_service_that_is_empty_from_the_start_is_reported_empty),
        cmocka_unit_test(test_what_acls_filter_away_is_never_removed),
        cmocka_unit_test(test_emptiness_before_a_client_without_rights_is_not_believed),
        cmocka_unit_test(test_emptiness_without_a_known_leader_is_not_believed),
        cmocka_unit_test(test_what_is_too_old_is_asked_for_again_consistently),
        cmocka_unit_test(test_at_the_start_an_old_answer_is_better_than_none),
        cmocka_unit_test(test_another_agent_is_asked_at_once_without_the_index),
        cmocka_unit_test(test_an_agent_that_refuses_connections_is_passed_over),
        cmocka_unit_test(test_when_every_agent_failed_the_watch_backs_off),
        cmocka_unit_test(test_a_token_file_is_read_anew_for_each_query),
        cmocka_unit_test(test_a_configured_token_goes_in_its_header),
        cmocka_unit_test(test_a_service_that_never_rests_is_asked_for_slowly),
        cmocka_unit_test(test_a_hundred_queries_at_most_run_at_once_and_all_get_their_turn),
        cmocka_unit_test(test_stopping_ends_a_query_that_hangs),
        cmocka_unit_test(test_without_a_service_nothing_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
