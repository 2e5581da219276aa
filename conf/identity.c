#include <errno.h>
#include <string.h>

#include "conf/conf.h"
#include "conf/option.h"

#define META_PREFIX "meta:"
/* What Consul takes for a key of service metadata. */
#define MAX_META_KEY 128

static bool is_meta_key(const char *text)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789_-";
    size_t n = strlen(text);
    return n > 0 && n <= MAX_META_KEY && strspn(text, allowed) == n;
}

static int parse_identity(const struct conf_option *option, const char *text, void *field,
                          struct conf_arena *arena)
{
    (void)option;
    struct conf_identity identity = {.source = CONF_IDENTITY_ADDRESS};
    if (strcmp(text, "service") == 0) {
        identity.source = CONF_IDENTITY_SERVICE;
    } else if (strncmp(text, META_PREFIX, strlen(META_PREFIX)) == 0) {
        const char *key = text + strlen(META_PREFIX);
        if (!is_meta_key(key))
            return -EINVAL;
        identity.source = CONF_IDENTITY_META;
        identity.meta_key = conf_arena_text(arena, key, strlen(key));
        if (identity.meta_key == NULL)
            return -ENOMEM;
    } else if (strcmp(text, "address") != 0) {
        return -EINVAL;
    }
    *(struct conf_identity *)field = identity;
    return 0;
}

static void describe_identity(const struct conf_option *option, FILE *out)
{
    (void)option;
    fputs("`address`, `service` or `meta:KEY`", out);
}

const struct conf_type conf_type_identity = {CONF_SHAPE_VALUE, parse_identity, describe_identity};
