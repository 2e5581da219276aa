#include <errno.h>
#include <stdio.h>

#include "balancer/cli/command.h"
#include "balancer/cli/flags.h"
#include "balancer/control/certificates.h"
#include "conf/load.h"

static int take_config(void *context, const char *value)
{
    const char **path = context;
    *path = value;
    return 0;
}

static const struct cli_flag flags[] = {
    {"config", "FILE", "the file, which may also stand without the flag", take_config},
};

static const struct cli_usage usage = {
    .command = "check",
    .synopsis = "FILE",
    .text =
        "Reads a configuration and says everything that is wrong with it, each mistake with\n"
        "its line and column; files for TLS are loaded too. Exits 0 when nothing is wrong, else\n"
        "1.",
    .flags = flags,
    .n_flags = sizeof(flags) / sizeof(*flags),
    .max_arguments = 1,
};

/* What is wrong with the files that a configuration names. */
static int check_files(const struct conf *conf, const char *path)
{
    struct conf_errors errors = {0}, warnings = {0};
    int rc = certificates_check(conf, path, &errors, &warnings);
    conf_errors_print(&errors, stderr);
    conf_errors_print(&warnings, stderr);
    conf_errors_fini(&errors);
    conf_errors_fini(&warnings);
    return rc;
}

static int check(const char *path)
{
    struct conf_errors errors = {0};
    struct conf *conf = conf_load_file(path, &errors);
    conf_errors_print(&errors, stderr);
    conf_errors_fini(&errors);
    if (conf == NULL)
        return CLI_EXIT_FAILED;
    int rc = check_files(conf, path);
    conf_free(conf);
    if (rc != 0)
        return CLI_EXIT_FAILED;
    printf("%s: ok\n", path);
    return CLI_EXIT_OK;
}

int cmd_check(int argc, char **argv)
{
    const char *path = NULL;
    int first;
    int status = cli_parse(&usage, argc, argv, &path, &first);
    if (status != CLI_GO_ON)
        return status;
    if (first < argc && path != NULL)
        return cli_wrong_usage("check", "unexpected argument \"%s\"", argv[first]);
    if (first < argc)
        path = argv[first];
    if (path == NULL)
        return cli_wrong_usage("check", "found no FILE");
    return check(path);
}
