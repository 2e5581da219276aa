#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/cli/command.h"
#include "balancer/cli/flags.h"
#include "balancer/cli/settings.h"
#include "balancer/control/serve.h"
#include "conf/load.h"

/* What the flags say. */
struct arguments {
    const char *config;
    const char *pool_flag; /* the last flag that describes the pool "default"; NULL: none */
    size_t n_listen, n_backend, n_consul;
    struct cli_settings settings;
    struct cli_settings names; /* of --acme, behind all settings */
};

static int take_config(void *context, const char *value)
{
    struct arguments *arguments = context;
    arguments->config = value;
    return 0;
}

/* The first replaces what a file says, the others add to it. Each is a map, so that --set can say
 * more about it. */
static int take_listen(void *context, const char *value)
{
    struct arguments *arguments = context;
    size_t index = arguments->n_listen++;
    if (index == 0)
        cli_settings_add(&arguments->settings, "--listen", "listeners", value);
    cli_settings_add_at(&arguments->settings, "--listen", "listeners", index, ".address", value);
    return 0;
}

static int take_consul(void *context, const char *value)
{
    struct arguments *arguments = context;
    size_t index = arguments->n_consul++;
    if (index == 0)
        cli_settings_add(&arguments->settings, "--consul", "consul.address", value);
    else
        cli_settings_add_at(&arguments->settings, "--consul", "consul.address", index, "", value);
    return 0;
}

#define ENDPOINTS "pools.default.endpoints"

/* HOST:PORT, or HOST:PORT,weight=W. */
static int take_backend(void *context, const char *value)
{
    static const char weight[] = ",weight=";
    struct arguments *arguments = context;
    const char *comma = strchr(value, ',');
    size_t index = arguments->n_backend++;
    arguments->pool_flag = "--backend";
    if (comma == NULL) {
        cli_settings_add_at(&arguments->settings, "--backend", ENDPOINTS, index, ".address", value);
        return 0;
    }
    if (strncmp(comma, weight, strlen(weight)) != 0) {
        cli_wrong_usage("serve", "--backend found \"%s\", expected HOST:PORT,weight=W", value);
        return -EINVAL;
    }
    char *address = strndup(value, (size_t)(comma - value));
    if (address == NULL)
        abort();
    cli_settings_add_at(&arguments->settings, "--backend", ENDPOINTS, index, ".address", address);
    cli_settings_add_at(&arguments->settings, "--backend", ENDPOINTS, index, ".weight",
                        comma + strlen(weight));
    free(address);
    return 0;
}

static void set(void *context, const char *flag, const char *key, const char *value)
{
    struct arguments *arguments = context;
    cli_settings_add(&arguments->settings, flag, key, value);
}

static void set_pool(void *context, const char *flag, const char *key, const char *value)
{
    struct arguments *arguments = context;
    arguments->pool_flag = flag;
    set(context, flag, key, value);
}

static int take_service(void *context, const char *value)
{
    set_pool(context, "--service", "pools.default.service.name", value);
    return 0;
}

static int take_algorithm(void *context, const char *value)
{
    set_pool(context, "--algorithm", "pools.default.algorithm", value);
    return 0;
}

static int take_hash_key(void *context, const char *value)
{
    set_pool(context, "--hash-key", "pools.default.hash_key", value);
    return 0;
}

static int take_health_check(void *context, const char *value)
{
    set_pool(context, "--health-check", "pools.default.health_check.path", value);
    return 0;
}

/* For the first listener. */
static int take_acme(void *context, const char *value)
{
    struct arguments *arguments = context;
    cli_settings_add_at(&arguments->names, "--acme", "listeners.0.tls.acme", arguments->names.n, "",
                        value);
    return 0;
}

static int take_agree(void *context, const char *value)
{
    (void)value;
    set(context, "--agree-to-terms", "acme.agree_to_terms", "true");
    return 0;
}

static int take_admin(void *context, const char *value)
{
    set(context, "--admin", "admin.address", value);
    return 0;
}

static int take_workers(void *context, const char *value)
{
    set(context, "--workers", "workers", value);
    return 0;
}

static int take_take_over(void *context, const char *value)
{
    (void)value;
    set(context, "--take-over", "take_over", "true");
    return 0;
}

static int take_log_format(void *context, const char *value)
{
    set(context, "--log-format", "log.format", value);
    return 0;
}

static int take_log_level(void *context, const char *value)
{
    set(context, "--log-level", "log.level", value);
    return 0;
}

static int take_access_log(void *context, const char *value)
{
    set(context, "--access-log", "log.access", value);
    return 0;
}

static int take_access_log_format(void *context, const char *value)
{
    set(context, "--access-log-format", "log.access_format", value);
    return 0;
}

static int take_set(void *context, const char *value)
{
    const char *equals = strchr(value, '=');
    if (equals == NULL || equals == value) {
        cli_wrong_usage("serve", "--set found \"%s\", expected KEY=VALUE", value);
        return -EINVAL;
    }
    char *key = strndup(value, (size_t)(equals - value));
    if (key == NULL)
        abort();
    set(context, "--set", key, equals + 1);
    free(key);
    return 0;
}

static const struct cli_flag flags[] = {
    {"config", "FILE", "the configuration (YAML or JSON)", take_config},
    {"listen", "ADDRESS", "accept clients here: \":8080\", \"127.0.0.1:80\"; repeatable",
     take_listen},
    {"backend", "HOST:PORT[,weight=W]", "a static endpoint; repeatable", take_backend},
    {"service", "NAME", "take the endpoints from this Consul service", take_service},
    {"consul", "URL", "the Consul agent; repeatable (http://127.0.0.1:8500)", take_consul},
    {"algorithm", "NAME", "hash, ring, round_robin, least_requests, random_two, … (hash)",
     take_algorithm},
    {"hash-key", "KEY", "path, uri, query:NAME, header:NAME, client, {host}{path}, … (path)",
     take_hash_key},
    {"health-check", "PATH", "ask each endpoint for this path every 2 seconds", take_health_check},
    {"acme", "NAME", "the first listener is https, with a certificate got for NAME; repeatable",
     take_acme},
    {"agree-to-terms", NULL, "to those of the authority, Let's Encrypt, which --acme needs",
     take_agree},
    {"admin", "ADDRESS", "serve /metrics, /healthz and /readyz here", take_admin},
    {"take-over", NULL, "listen also where another quoit does, which this one is to replace",
     take_take_over},
    {"workers", "N", "worker threads (auto: one for each processor)", take_workers},
    {"log-level", "LEVEL", "debug, info, warn, error (info)", take_log_level},
    {"log-format", "FORMAT", "text or json (text)", take_log_format},
    {"access-log", "FILE", "write a line for each request; - is standard output", take_access_log},
    {"access-log-format", "FORMAT", "json or combined (json)", take_access_log_format},
    {"set", "KEY=VALUE", "any other option by its key; see \"quoit help options\"", take_set},
};

static const struct cli_usage usage = {
    .command = "serve",
    .synopsis = "--config FILE [FLAG ...]\n"
                "       quoit serve --listen ADDRESS --backend HOST:PORT ... [FLAG ...]\n"
                "       quoit serve --listen ADDRESS --service NAME [--consul URL] [FLAG ...]",
    .text =
        "Balances HTTP requests. SIGTERM and SIGINT let what runs finish (a second one ends it\n"
        "at once), SIGUSR1 opens the access log anew. Flags override what the file says;\n"
        "without a file, --backend, --service, --algorithm, --hash-key and --health-check\n"
        "describe a pool named \"default\" that takes all requests.",
    .flags = flags,
    .n_flags = sizeof(flags) / sizeof(*flags),
};

static struct conf *load(const struct arguments *arguments)
{
    struct conf_errors errors = {0};
    const struct cli_settings *settings = &arguments->settings;
    struct conf *conf =
        arguments->config != NULL
            ? conf_load_file_with(arguments->config, settings->list, settings->n, &errors)
            : conf_load_settings(settings->list, settings->n, &errors);
    conf_errors_print(&errors, stderr);
    conf_errors_fini(&errors);
    return conf;
}

static void add_names(struct arguments *arguments)
{
    const struct cli_settings *names = &arguments->names;
    for (size_t i = 0; i < names->n; i++)
        cli_settings_add(&arguments->settings, names->list[i].flag, names->list[i].key,
                         names->list[i].value);
}

static int serve(const struct arguments *arguments)
{
    struct conf *conf = load(arguments);
    if (conf == NULL)
        return CLI_EXIT_FAILED;
    int status = serve_run(conf, NULL, NULL);
    conf_free(conf);
    return status;
}

int cmd_serve(int argc, char **argv)
{
    struct arguments arguments = {0};
    int first;
    int status = cli_parse(&usage, argc, argv, &arguments, &first);
    if (status == CLI_GO_ON) {
        add_names(&arguments);
        if (arguments.config == NULL && arguments.settings.n == 0)
            status = cli_wrong_usage("serve", "found neither --config nor --listen");
        else if (arguments.config != NULL && arguments.pool_flag != NULL)
            status = cli_wrong_usage("serve",
                                     "%s does not go with --config, whose pools have names; set "
                                     "pools.NAME... with --set",
                                     arguments.pool_flag);
        else
            status = serve(&arguments);
    }
    cli_settings_fini(&arguments.settings);
    cli_settings_fini(&arguments.names);
    return status;
}
