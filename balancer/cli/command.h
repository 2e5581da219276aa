/*
 * The program's subcommands: one file and one line in the table (main.c) each.
 *
 * A command writes what it was asked for to standard output and everything else to standard error.
 */
#ifndef QUOIT_BALANCER_CLI_COMMAND_H
#define QUOIT_BALANCER_CLI_COMMAND_H

#include <stddef.h>

/* What the process exits with. */
enum cli_exit {
    CLI_EXIT_OK = 0,
    CLI_EXIT_FAILED = 1, /* a wrong configuration, a port that is taken, … */
    CLI_EXIT_USAGE = 2,  /* wrong flags or arguments */
    CLI_EXIT_OVER = 3,   /* a plan moves more than it may */
};

struct command {
    const char *name;
    const char *summary; /* a line for `quoit help` */
    /* argv[0] is the command's name. Returns an exit status. */
    int (*run)(int argc, char **argv);
};

extern const struct command cli_commands[];
extern const size_t cli_n_commands;

/* NULL when there is none of this name. */
const struct command *cli_command_find(const char *name);

int cmd_serve(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_ring(int argc, char **argv);
int cmd_plan(int argc, char **argv);
int cmd_demo(int argc, char **argv);
int cmd_version(int argc, char **argv);
int cmd_help(int argc, char **argv);

#endif
