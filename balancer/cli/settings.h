/*
 * Settings gathered from flags, for conf_load_settings(). Memory that is out ends the program: this
 * runs before anything is served.
 */
#ifndef QUOIT_BALANCER_CLI_SETTINGS_H
#define QUOIT_BALANCER_CLI_SETTINGS_H

#include "conf/load.h"

/* All zero is empty. */
struct cli_settings {
    struct conf_setting *list;
    size_t n;
};

/* Adds key = value for flag. flag must stay valid; key and value are copied. */
void cli_settings_add(struct cli_settings *settings, const char *flag, const char *key,
                      const char *value);

/* The same with the key "prefix.INDEX" and suffix behind. */
void cli_settings_add_at(struct cli_settings *settings, const char *flag, const char *prefix,
                         size_t index, const char *suffix, const char *value);

void cli_settings_fini(struct cli_settings *settings);

#endif
