/*
 * Flags of a subcommand: a table from which they are parsed (getopt_long) and `--help` is written.
 */
#ifndef QUOIT_BALANCER_CLI_FLAGS_H
#define QUOIT_BALANCER_CLI_FLAGS_H

#include <stddef.h>
#include <stdio.h>

struct cli_flag {
    const char *name;     /* without the dashes */
    const char *argument; /* its argument's name in the help; NULL: it has none */
    const char *meaning;  /* one line */
    /* Takes one occurrence; value is NULL without an argument and stays valid. Returns 0, or
     * -EINVAL after it has printed what is wrong. */
    int (*take)(void *context, const char *value);
};

/* A letter that stands for a flag: -X for --request. */
struct cli_letter {
    char letter;
    const char *flag; /* its name; one of the flags */
};

struct cli_usage {
    const char *command;
    const char *synopsis;         /* what stands behind "quoit COMMAND" */
    const char *text;             /* paragraphs behind the synopsis */
    const struct cli_flag *flags; /* without --help, which every command has */
    size_t n_flags;               /* at most CLI_MAX_FLAGS */
    const struct cli_letter *letters;
    size_t n_letters;  /* at most CLI_MAX_LETTERS */
    int max_arguments; /* that are no flags */
};

#define CLI_MAX_FLAGS 24
#define CLI_MAX_LETTERS 8

/* cli_parse(): go on. */
#define CLI_GO_ON (-1)

/*
 * Parses argv with take() called for each flag. Returns CLI_GO_ON with the arguments that are no
 * flags from argv[*ret_first] on, or the exit status to end with: after --help, or when the usage
 * was wrong, which has been printed.
 */
int cli_parse(const struct cli_usage *usage, int argc, char **argv, void *context, int *ret_first);

/* Prints "quoit COMMAND: text" and where to find help on standard error; returns
 * CLI_EXIT_USAGE. */
__attribute__((format(printf, 2, 3))) int cli_wrong_usage(const char *command, const char *format,
                                                          ...);

#endif
