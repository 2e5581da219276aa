#include "balancer/cli/settings.h"

#include <stdlib.h>
#include <string.h>

static void *need(void *memory)
{
    if (memory == NULL) {
        fputs("quoit: out of memory\n", stderr);
        abort();
    }
    return memory;
}

/* Takes key; copies value. */
static void append(struct cli_settings *settings, const char *flag, char *key, const char *value)
{
    settings->list = need(realloc(settings->list, (settings->n + 1) * sizeof(struct conf_setting)));
    settings->list[settings->n++] =
        (struct conf_setting){.flag = flag, .key = key, .value = need(strdup(value))};
}

void cli_settings_add(struct cli_settings *settings, const char *flag, const char *key,
                      const char *value)
{
    append(settings, flag, need(strdup(key)), value);
}

void cli_settings_add_at(struct cli_settings *settings, const char *flag, const char *prefix,
                         size_t index, const char *suffix, const char *value)
{
    char *key = NULL;
    if (asprintf(&key, "%s.%zu%s", prefix, index, suffix) < 0)
        key = NULL;
    append(settings, flag, need(key), value);
}

void cli_settings_fini(struct cli_settings *settings)
{
    for (size_t i = 0; i < settings->n; i++) {
        free((char *)settings->list[i].key);
        free((char *)settings->list[i].value);
    }
    free(settings->list);
    *settings = (struct cli_settings){0};
}
