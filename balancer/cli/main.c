/*
 * quoit: finds the subcommand and runs it.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "balancer/cli/command.h"

const struct command cli_commands[] = {
    {"serve", "balance HTTP requests until told to stop", cmd_serve},
    {"check", "say what is wrong with a configuration file", cmd_check},
    {"explain", "say which endpoint a request would go to, and why", cmd_explain},
    {"ring", "show which part of the keys each endpoint owns", cmd_ring},
    {"plan", "say what a change of endpoints would move", cmd_plan},
    {"demo", "show a balancer and three origins at work", cmd_demo},
    {"version", "print the version", cmd_version},
    {"help", "print help on a command, or every option", cmd_help},
};
const size_t cli_n_commands = sizeof(cli_commands) / sizeof(*cli_commands);

const struct command *cli_command_find(const char *name)
{
    for (size_t i = 0; i < cli_n_commands; i++) {
        if (strcmp(cli_commands[i].name, name) == 0)
            return &cli_commands[i];
    }
    return NULL;
}

/* The flags that stand for commands. */
static const char *command_name(const char *argument)
{
    if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0)
        return "help";
    if (strcmp(argument, "--version") == 0 || strcmp(argument, "-V") == 0)
        return "version";
    return argument;
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        fputs("quoit: found no command; try \"quoit help\"\n", stderr);
        return CLI_EXIT_USAGE;
    }
    const struct command *command = cli_command_find(command_name(argv[1]));
    if (command == NULL) {
        fprintf(stderr, "quoit: unknown command \"%s\"; try \"quoit help\"\n", argv[1]);
        return CLI_EXIT_USAGE;
    }
    return command->run(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    /* A peer that has gone is an error of the write, not the end of the process. */
    signal(SIGPIPE, SIG_IGN);
    int status = run(argc, argv);
    if (fflush(stdout) != 0 && status == CLI_EXIT_OK) {
        perror("quoit: standard output");
        return CLI_EXIT_FAILED;
    }
    return status;
}
