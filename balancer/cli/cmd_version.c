#include <stdio.h>

#include "balancer/cli/command.h"
#include "balancer/cli/flags.h"

int cmd_version(int argc, char **argv)
{
    static const struct cli_usage usage = {
        .command = "version",
        .synopsis = "",
        .text = "Prints the name of the program and its version.",
    };
    int first;
    int status = cli_parse(&usage, argc, argv, NULL, &first);
    if (status != CLI_GO_ON)
        return status;
    puts("quoit " QUOIT_VERSION);
    return CLI_EXIT_OK;
}
