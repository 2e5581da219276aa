#include "balancer/cli/flags.h"

#include <assert.h>
#include <getopt.h>
#include <stdarg.h>
#include <string.h>

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

/* '\0' if the flag has none. */
static char letter_of(const struct cli_usage *usage, const struct cli_flag *flag)
{
    for (size_t i = 0; i < usage->n_letters; i++) {
        if (strcmp(usage->letters[i].flag, flag->name) == 0)
            return usage->letters[i].letter;
    }
    return '\0';
}

static void print_flag(const struct cli_usage *usage, const struct cli_flag *flag)
{
    char letter = letter_of(usage, flag);
    int n = letter != '\0' ? printf("  -%c,", letter) : printf(" ");
    n += printf(" --%s%s%s", flag->name, flag->argument == NULL ? "" : " ",
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
        print_flag(usage, &usage->flags[i]);
    print_flag(usage, &help);
}

/* The flag that a letter stands for; NULL for one that stands for none. */
static const struct cli_flag *flag_of(const struct cli_usage *usage, int letter)
{
    for (size_t i = 0; i < usage->n_letters; i++) {
        for (size_t k = 0; usage->letters[i].letter == letter && k < usage->n_flags; k++) {
            if (strcmp(usage->letters[i].flag, usage->flags[k].name) == 0)
                return &usage->flags[k];
        }
    }
    return NULL;
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

/* getopt's letters: a colon behind those whose flag has an argument. */
static void fill_letters(const struct cli_usage *usage, char text[2 * CLI_MAX_LETTERS + 3])
{
    assert(usage->n_letters <= CLI_MAX_LETTERS);
    *text++ = ':';
    *text++ = 'h';
    for (size_t i = 0; i < usage->n_letters; i++) {
        *text++ = usage->letters[i].letter;
        if (flag_of(usage, usage->letters[i].letter)->argument != NULL)
            *text++ = ':';
    }
    *text = '\0';
}

int cli_parse(const struct cli_usage *usage, int argc, char **argv, void *context, int *ret_first)
{
    struct option options[CLI_MAX_FLAGS + 2];
    int index = 0;
    int found;
    char letters[2 * CLI_MAX_LETTERS + 3];
    fill_options(usage, options);
    fill_letters(usage, letters);
    optind = 0; /* begin anew, GNU's way */
    while ((found = getopt_long(argc, argv, letters, options, &index)) != -1) {
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
        const struct cli_flag *flag = found == 0 ? &usage->flags[index] : flag_of(usage, found);
        if (flag->take(context, optarg) != 0)
            return CLI_EXIT_USAGE;
    }
    if (argc - optind > usage->max_arguments)
        return cli_wrong_usage(usage->command, "unexpected argument \"%s\"",
                               argv[optind + usage->max_arguments]);
    *ret_first = optind;
    return CLI_GO_ON;
}
