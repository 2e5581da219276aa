#include <stdlib.h>

#include "conf/load.h"
#include "conf/option.h"

static const char introduction[] =
    "# Options\n"
    "\n"
    "Written by the option table (`conf/options.c`); do not edit.\n"
    "\n"
    "A configuration is one YAML document; JSON is accepted as YAML. In a key, `N` stands for an\n"
    "entry of a list, counted from 0, and `NAME` for a name of your choice. Where a list is\n"
    "expected, a single value is a list of one. A value of `null` is the same as no value.\n"
    "\n"
    "- **Durations** have a unit: `ms`, `s`, `m` or `h`. **Sizes** have a unit: `b`, `k`, `m` or\n"
    "  `g`, in powers of 1024. Both are whole numbers; only `0` goes without a unit.\n"
    "- **On the command line**, `--set KEY=VALUE` sets any option by its key: `--set\n"
    "  pools.images.timeouts.connect=500ms`, `--set listeners.0.address=:8080`. A dot inside a "
    "name\n"
    "  is written `\\.`.\n";

static bool is_section(const struct conf_option *option)
{
    return option->type->parse == NULL;
}

/* A phrase from describe() as a sentence: its first letter raised. */
static void write_type(const struct conf_option *option, FILE *out)
{
    char *text = NULL;
    size_t n = 0;
    FILE *memory = open_memstream(&text, &n);
    if (memory == NULL)
        return;
    option->type->describe(option, memory);
    if (fclose(memory) == 0 && n > 0) {
        if (text[0] >= 'a' && text[0] <= 'z')
            text[0] = (char)(text[0] - 'a' + 'A');
        fprintf(out, "%s.", text);
    }
    free(text);
}

static void write_option(const struct conf_option *option, FILE *out)
{
    fprintf(out, "\n%s `%s`\n\n", is_section(option) ? "##" : "###", option->key);
    write_type(option, out);
    if (option->fallback != NULL)
        fprintf(out, " Default: `%s`.", option->fallback);
    else if (option->is_required)
        fputs(" Required.", out);
    else if (!is_section(option))
        fputs(" Default: none.", out);
    fprintf(out, "\n\n%s\n", option->meaning);
}

void conf_write_reference(FILE *out)
{
    fputs(introduction, out);
    for (size_t i = 1; i < conf_n_options; i++)
        write_option(&conf_options[i], out);
}
