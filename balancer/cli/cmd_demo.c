/*
 * quoit demo: three origins in this process, a balancer in front of them, and a few requests that
 * show what consistent hashing does. The balancer is the real one, as `quoit serve` runs it.
 */
#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "balancer/cli/command.h"
#include "balancer/cli/demo_consul.h"
#include "balancer/cli/demo_origin.h"
#include "balancer/cli/demo_tour.h"
#include "balancer/cli/flags.h"
#include "balancer/cli/loopback.h"
#include "balancer/cli/settings.h"
#include "balancer/control/serve.h"
#include "conf/units.h"

#define N_ORIGINS 3

struct demo {
    uint16_t port, admin_port;
    const char *consul; /* the agent, or NULL */
    bool is_once;
    struct demo_origin *origins[N_ORIGINS];
    size_t n_registered;
    pthread_t tour;
    bool has_tour;        /* its thread runs or has run */
    int moved;            /* the tour's result; read once the thread is joined */
    _Atomic bool is_over; /* the balancer has stopped: the tour shall too */
};

static int take_port(void *context, const char *value)
{
    struct demo *demo = context;
    uint64_t port;
    if (conf_parse_number(value, &port) != 0 || port > UINT16_MAX) {
        cli_wrong_usage("demo", "--port found \"%s\", expected a number from 0 to 65535", value);
        return -EINVAL;
    }
    demo->port = (uint16_t)port;
    return 0;
}

static int take_consul(void *context, const char *value)
{
    struct demo *demo = context;
    demo->consul = value;
    return 0;
}

static int take_once(void *context, const char *value)
{
    (void)value;
    struct demo *demo = context;
    demo->is_once = true;
    return 0;
}

static const struct cli_flag flags[] = {
    {"port", "N", "the balancer's port on 127.0.0.1; 0 takes a free one (8080)", take_port},
    {"consul", "URL", "register the origins at this Consul agent and find them there", take_consul},
    {"once", NULL, "end after the table; exit 1 if a key has moved", take_once},
};

static const struct cli_usage usage = {
    .command = "demo",
    .synopsis = "[FLAG ...]",
    .text = "Starts three small origins and a balancer in front of them, all on loopback, and\n"
            "shows that each key stays on its origin. Ctrl-C ends it.",
    .flags = flags,
    .n_flags = sizeof(flags) / sizeof(*flags),
};

/* ---- the tour */

static void print_addresses(const struct demo *demo)
{
    puts("\nThree origins and a balancer that hashes the path:\n");
    for (size_t i = 0; i < N_ORIGINS; i++)
        printf("  %-12shttp://127.0.0.1:%u\n", demo_origin_name(demo->origins[i]),
               demo_origin_port(demo->origins[i]));
    printf("  %-12shttp://127.0.0.1:%u%s\n\n", "balancer", demo->port,
           demo->consul == NULL ? "" : "  (finds them in Consul as " DEMO_SERVICE ")");
}

static void print_commands(const struct demo *demo)
{
    puts("\nTry it:\n");
    printf("  curl -i http://127.0.0.1:%u/images/cat.jpg\n", demo->port);
    printf("  curl -s http://127.0.0.1:%u/metrics\n", demo->admin_port);
    if (demo->consul != NULL)
        printf("  curl -s %s/v1/health/service/" DEMO_SERVICE "\n", demo->consul);
    if (!demo->is_once)
        puts("\nCtrl-C ends the demo.");
}

static void *run_tour(void *context)
{
    struct demo *demo = context;
    print_addresses(demo);
    demo->moved = demo_tour_run(demo->port, &demo->is_over);
    if (demo->moved == 0)
        puts("\nEvery key has stayed on its origin.");
    else if (demo->moved > 0)
        printf("\nKeys that have moved: %d.\n", demo->moved);
    if (demo->moved >= 0)
        print_commands(demo);
    fflush(stdout);
    if (demo->is_once || demo->moved < 0)
        serve_stop();
    return NULL;
}

/* Control must not block: the requests are for a thread of their own. */
static void start_tour(void *context)
{
    struct demo *demo = context;
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    demo->has_tour = pthread_create(&demo->tour, NULL, run_tour, demo) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!demo->has_tour)
        serve_stop();
}

/* ---- the balancer */

static void set_address(struct cli_settings *settings, const char *key, uint16_t port)
{
    char address[32];
    snprintf(address, sizeof(address), "127.0.0.1:%u", port);
    cli_settings_add(settings, NULL, key, address);
}

static void set_all(struct cli_settings *settings, const struct demo *demo)
{
    set_address(settings, "listeners", demo->port);
    set_address(settings, "admin", demo->admin_port);
    cli_settings_add(settings, NULL, "workers", "2");
    cli_settings_add(settings, NULL, "drain_timeout", "2s");
    cli_settings_add(settings, NULL, "log.level", "warn");
    cli_settings_add(settings, NULL, "pools.demo.hash_key", "path");
    if (demo->consul != NULL) {
        cli_settings_add(settings, "--consul", "consul.address", demo->consul);
        cli_settings_add(settings, NULL, "pools.demo.service", DEMO_SERVICE);
        return;
    }
    char key[64];
    for (size_t i = 0; i < N_ORIGINS; i++) {
        snprintf(key, sizeof(key), "pools.demo.endpoints.%zu", i);
        set_address(settings, key, demo_origin_port(demo->origins[i]));
    }
}

static struct conf *configure(const struct demo *demo)
{
    struct cli_settings settings = {0};
    struct conf_errors errors = {0};
    set_all(&settings, demo);
    struct conf *conf = conf_load_settings(settings.list, settings.n, &errors);
    conf_errors_print(&errors, stderr);
    conf_errors_fini(&errors);
    cli_settings_fini(&settings);
    return conf;
}

/* ---- start and end */

static int complain(const char *what, int error)
{
    char text[128];
    fprintf(stderr, "quoit demo: %s: %s\n", what, strerror_r(-error, text, sizeof(text)));
    return CLI_EXIT_FAILED;
}

static int find_ports(struct demo *demo)
{
    uint16_t asked = demo->port;
    int error = loopback_probe(asked, &demo->port);
    if (error == -EADDRINUSE) {
        fprintf(stderr,
                "quoit demo: port %u is in use; choose another with --port N, or a free one with "
                "--port 0\n",
                asked);
        return CLI_EXIT_FAILED;
    }
    if (error == 0)
        error = loopback_probe(0, &demo->admin_port);
    return error == 0 ? CLI_EXIT_OK : complain("the balancer's port", error);
}

static int start_origins(struct demo *demo)
{
    for (size_t i = 0; i < N_ORIGINS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "origin-%zu", i + 1);
        int error = demo_origin_start(name, &demo->origins[i]);
        if (error != 0)
            return complain(name, error);
    }
    return CLI_EXIT_OK;
}

static int register_origins(struct demo *demo)
{
    if (demo->consul == NULL)
        return CLI_EXIT_OK;
    for (size_t i = 0; i < N_ORIGINS; i++) {
        if (demo_consul_register(demo->consul, demo->origins[i]) != 0)
            return CLI_EXIT_FAILED;
        demo->n_registered++;
    }
    for (size_t i = 0; i < N_ORIGINS; i++) {
        if (demo_consul_await(demo->consul, demo->origins[i]) != 0)
            return CLI_EXIT_FAILED;
    }
    return CLI_EXIT_OK;
}

static int serve(struct demo *demo, const struct conf *conf)
{
    int status = serve_run(conf, start_tour, demo);
    if (!demo->has_tour)
        return CLI_EXIT_FAILED;
    demo->is_over = true;
    pthread_join(demo->tour, NULL);
    bool has_failed = demo->moved == -EIO || (demo->is_once && demo->moved != 0);
    return has_failed ? CLI_EXIT_FAILED : status;
}

static void deregister_origins(struct demo *demo)
{
    for (size_t i = 0; i < demo->n_registered; i++)
        demo_consul_deregister(demo->consul, demo->origins[i]);
}

static void stop_origins(struct demo *demo)
{
    for (size_t i = 0; i < N_ORIGINS; i++)
        demo_origin_stop(demo->origins[i]);
}

static int run(struct demo *demo)
{
    int status = find_ports(demo);
    if (status == CLI_EXIT_OK)
        status = start_origins(demo);
    if (status != CLI_EXIT_OK)
        return status;
    struct conf *conf = configure(demo);
    if (conf == NULL)
        return CLI_EXIT_FAILED;
    if (demo->consul != NULL)
        demo->consul = conf->consul.addresses[0]; /* checked, and without a slash at its end */
    status = register_origins(demo);
    if (status == CLI_EXIT_OK)
        status = serve(demo, conf);
    deregister_origins(demo);
    conf_free(conf);
    return status;
}

int cmd_demo(int argc, char **argv)
{
    struct demo demo = {.port = 8080};
    int first;
    int status = cli_parse(&usage, argc, argv, &demo, &first);
    if (status != CLI_GO_ON)
        return status;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    status = run(&demo);
    stop_origins(&demo);
    return status;
}
