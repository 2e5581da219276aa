#include "balancer/cli/flags.h"

#include <assert.h>
#include <getopt.h>
#include <stdarg.h>

#include "balancer/cli/command.h"

/* Where the meanings stand in the help. */
#define MEANING_COLUMN 32

int cli_wrong_usage(const char *command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "quoit %s: ", command);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "; try \"quoit %s --help\"\n", command);
    va_end(arguments);
    return CLI_EXIT_USAGE;
}

static void print_flag(const struct cli_flag *flag)
{
    int n = printf("  --%s%s%s", flag->name, flag->argument == NULL ? "" : " ",
                   flag->argument == NULL ? "" : flag->argument);
    if (n >= MEANING_COLUMN) {
        putchar('\n');
        n = 0;
    }
    printf("%*s%s\n", MEANING_COLUMN - n, "", flag->meaning);
}

static void print_help(const struct cli_usage *usage)
{
    const struct cli_flag help = {.name = "help", .meaning = "print this"};
    printf("usage: quoit %s%s%s\n\n%s\n\n", usage->command, usage->synopsis[0] == '\0' ? "" : " ",
           usage->synopsis, usage->text);
    for (size_t i = 0; i < usage->n_flags; i++)
        print_flag(&usage->flags[i]);
    print_flag(&help);
}

/* getopt's table: entry i is flag i, then --help. */
static void fill_options(const struct cli_usage *usage, struct option options[CLI_MAX_FLAGS + 2])
{
    assert(usage->n_flags <= CLI_MAX_FLAGS);
    for (size_t i = 0; i < usage->n_flags; i++)
        options[i] = (struct option){
            .name = usage->flags[i].name,
            .has_arg = usage->flags[i].argument == NULL ? no_argument : required_argument,
        };
    options[usage->n_flags] = (struct option){.name = "help", .has_arg = no_argument, .val = 'h'};
    options[usage->n_flags + 1] = (struct option){0};
}

int cli_parse(const struct cli_usage *usage, int argc, char **argv, void *context, int *ret_first)
{
    struct option options[CLI_MAX_FLAGS + 2];
    int index = 0;
    int found;
    fill_options(usage, options);
    optind = 0; /* begin anew, GNU's way */
    while ((found = getopt_long(argc, argv, ":h", options, &index)) != -1) {
        if (found == 'h') {
            print_help(usage);
            return CLI_EXIT_OK;
        }
        if (found == ':')
            return cli_wrong_usage(usage->command, "%s needs a value", argv[optind - 1]);
        if (found == '?' && optopt != 0)
            return cli_wrong_usage(usage->command, "unknown flag -%c", optopt);
        if (found == '?')
            return cli_wrong_usage(usage->command, "unknown flag %s", argv[optind - 1]);
        if (usage->flags[index].take(context, optarg) != 0)
            return CLI_EXIT_USAGE;
    }
    if (argc - optind > usage->max_arguments)
        return cli_wrong_usage(usage->command, "unexpected argument \"%s\"",
                               argv[optind + usage->max_arguments]);
    *ret_first = optind;
    return CLI_GO_ON;
}
