/* The types of values that only ACME has. */
#include <errno.h>
#include <string.h>

#include "conf/conf.h"
#include "conf/option.h"
#include "conf/units.h"

#define MAX_CONTACT 255

static int store(void *field, struct conf_arena *arena, const char *text)
{
    char *copy = conf_arena_text(arena, text, strlen(text));
    if (copy == NULL)
        return -ENOMEM;
    *(char **)field = copy;
    return 0;
}

/* ---- the directory */

static bool is_loopback(const struct conf_host_port *address)
{
    return strncmp(address->host, "127.", 4) == 0 || strcmp(address->host, "::1") == 0 ||
           strcmp(address->host, "localhost") == 0;
}

/* What may stand in a URL: visible, and no quotes, backslashes or fragments. */
static bool is_plain(const char *text)
{
    for (const char *c = text; *c != '\0'; c++)
        if (*c <= ' ' || *c > '~' || strchr("\"\\#<>", *c) != NULL)
            return false;
    return true;
}

static int parse_url(const struct conf_option *option, const char *text, void *field,
                     struct conf_arena *arena)
{
    (void)option;
    struct conf_host_port address;
    char authority[CONF_ACME_MAX_URL + 1];
    bool is_secure = strncmp(text, "https://", 8) == 0;
    if ((!is_secure && strncmp(text, "http://", 7) != 0) || strlen(text) > CONF_ACME_MAX_URL)
        return -EINVAL;
    const char *host = text + (is_secure ? 8 : 7);
    size_t n = strcspn(host, "/?");
    memcpy(authority, host, n);
    authority[n] = '\0';
    bool has_port = conf_parse_host_port(authority, &address) == 0;
    if (has_port ? address.type == CONF_HOST_ALL : conf_parse_host(authority, n, &address) != 0)
        return -EINVAL;
    if (!is_plain(host + n) || (!is_secure && !is_loopback(&address)))
        return -EINVAL;
    return store(field, arena, text);
}

static void describe_url(const struct conf_option *option, FILE *out)
{
    (void)option;
    fprintf(out,
            "an https URL of at most %d characters, such as `https://ca.internal/acme/directory`; "
            "http on loopback only",
            CONF_ACME_MAX_URL);
}

const struct conf_type conf_type_acme_url = {CONF_SHAPE_VALUE, parse_url, describe_url};

/* ---- contacts */

/* One address and nothing behind it (RFC 8555 section 7.3). */
static int parse_contact(const struct conf_option *option, const char *text, void *field,
                         struct conf_arena *arena)
{
    (void)option;
    if (strncmp(text, "mailto:", 7) != 0 || strlen(text) > MAX_CONTACT || !is_plain(text) ||
        strpbrk(text, ",?") != NULL)
        return -EINVAL;
    const char *at = strchr(text, '@');
    if (at == NULL || at == text + 7 || at[1] == '\0' || strchr(at + 1, '@') != NULL)
        return -EINVAL;
    return store(field, arena, text);
}

static void describe_contacts(const struct conf_option *option, FILE *out)
{
    (void)option;
    fputs("an address such as `mailto:ops@example.com`, or a list of them", out);
}

const struct conf_type conf_type_acme_contacts = {CONF_SHAPE_VALUES, parse_contact,
                                                  describe_contacts};

/* ---- names of certificates */

static int parse_name(const struct conf_option *option, const char *text, void *field,
                      struct conf_arena *arena)
{
    (void)option;
    struct conf_host_port host;
    if (conf_parse_host(text, strlen(text), &host) != 0 || host.type != CONF_HOST_NAME ||
        strchr(text, '_') != NULL)
        return -EINVAL;
    return store(field, arena, host.host);
}

static void describe_names(const struct conf_option *option, FILE *out)
{
    (void)option;
    fputs("a DNS name such as `www.example.com` (none with `*`: neither challenge proves those), "
          "or a list of them",
          out);
}

const struct conf_type conf_type_acme_names = {CONF_SHAPE_VALUES, parse_name, describe_names};

/* ---- keys */

static int parse_kid(const struct conf_option *option, const char *text, void *field,
                     struct conf_arena *arena)
{
    (void)option;
    return text[0] != '\0' && is_plain(text) ? store(field, arena, text) : -EINVAL;
}

static void describe_kid(const struct conf_option *option, FILE *out)
{
    (void)option;
    fputs("visible characters of ASCII, no quotes", out);
}

const struct conf_type conf_type_acme_kid = {CONF_SHAPE_VALUE, parse_kid, describe_kid};

static int parse_base64url(const struct conf_option *option, const char *text, void *field,
                           struct conf_arena *arena)
{
    (void)option;
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t n = strspn(text, digits);
    size_t padding = strspn(text + n, "=");
    if (n < 2 || n % 4 == 1 || padding > 2 || text[n + padding] != '\0')
        return -EINVAL;
    return store(field, arena, text);
}

static void describe_base64url(const struct conf_option *option, FILE *out)
{
    (void)option;
    fputs("text in base64url", out);
}

const struct conf_type conf_type_base64url = {CONF_SHAPE_VALUE, parse_base64url,
                                              describe_base64url};
