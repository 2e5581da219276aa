#include <stdio.h>
#include <string.h>

#include "balancer/cli/command.h"
#include "balancer/cli/flags.h"
#include "conf/load.h"

static void print_commands(void)
{
    puts("quoit: a dynamic HTTP load balancer\n\nusage: quoit COMMAND [FLAG ...]\n");
    for (size_t i = 0; i < cli_n_commands; i++)
        printf("  %-10s%s\n", cli_commands[i].name, cli_commands[i].summary);
    puts(
        "\n"
        "  quoit serve --listen :8080 --backend 127.0.0.1:8081 --backend 127.0.0.1:8082\n"
        "  quoit serve --listen :8080 --consul http://127.0.0.1:8500 --service images\n"
        "  quoit serve --config quoit.yaml\n"
        "\n"
        "\"quoit COMMAND --help\" tells more of a command, \"quoit help options\" of every option\n"
        "that a configuration can set.");
}

static int help_on(const char *topic)
{
    if (strcmp(topic, "options") == 0) {
        conf_write_reference(stdout);
        return CLI_EXIT_OK;
    }
    const struct command *command = cli_command_find(topic);
    if (command == NULL)
        return cli_wrong_usage("help", "there is no command \"%s\"", topic);
    char name[32];
    char flag[] = "--help";
    snprintf(name, sizeof(name), "%s", command->name);
    return command->run(2, (char *[]){name, flag, NULL});
}

int cmd_help(int argc, char **argv)
{
    static const struct cli_usage usage = {
        .command = "help",
        .synopsis = "[COMMAND | options]",
        .text = "Prints the commands, help on one of them, or the option reference (Markdown).",
        .max_arguments = 1,
    };
    int first;
    /* "quoit --help" comes here as the command's name. */
    int status = cli_parse(&usage, argc, argv, NULL, &first);
    if (status != CLI_GO_ON)
        return status;
    if (first < argc)
        return help_on(argv[first]);
    print_commands();
    return CLI_EXIT_OK;
}
