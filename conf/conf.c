#include "conf/conf.h"

#include <stdlib.h>

#include "conf/owned.h"

struct conf_owned *conf_owned_new(void)
{
    return calloc(1, sizeof(struct conf_owned));
}

void conf_free(struct conf *conf)
{
    if (conf == NULL)
        return;
    /* conf is the first member: both have one address. */
    struct conf_owned *owned = (struct conf_owned *)conf;
    conf_arena_free(&owned->arena);
    free(owned);
}
