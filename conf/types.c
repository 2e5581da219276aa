#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "conf/conf.h"
#include "conf/option.h"
#include "conf/units.h"

/* Numbers, enums and booleans of any width. */
static void store(const struct conf_option *option, void *field, uint64_t value)
{
    uint8_t u8 = (uint8_t)value;
    uint16_t u16 = (uint16_t)value;
    uint32_t u32 = (uint32_t)value;
    const void *from = &value;
    if (option->size == sizeof(u8))
        from = &u8;
    else if (option->size == sizeof(u16))
        from = &u16;
    else if (option->size == sizeof(u32))
        from = &u32;
    else
        assert(option->size == sizeof(value));
    memcpy(field, from, option->size);
}

static int store_in_range(const struct conf_option *option, void *field, uint64_t value)
{
    if (value < option->min || value > option->max)
        return -EINVAL;
    store(option, field, value);
    return 0;
}

static int store_text(void *field, struct conf_arena *arena, const char *text)
{
    char *copy = conf_arena_text(arena, text, strlen(text));
    if (copy == NULL)
        return -ENOMEM;
    *(char **)field = copy;
    return 0;
}

/* ---- whole numbers */

static int parse_number(const struct conf_option *option, const char *text, void *field,
                        struct conf_arena *arena)
{
    (void)arena;
    uint64_t value;
    if (conf_parse_number(text, &value) != 0)
        return -EINVAL;
    return store_in_range(option, field, value);
}

static void describe_number(const struct conf_option *option, FILE *out)
{
    fprintf(out, "a whole number from %" PRIu64 " to %" PRIu64, option->min, option->max);
}

const struct conf_type conf_type_number = {CONF_SHAPE_VALUE, parse_number, describe_number};

static int parse_power(const struct conf_option *option, const char *text, void *field,
                       struct conf_arena *arena)
{
    (void)arena;
    uint64_t value;
    if (conf_parse_number(text, &value) != 0 || (value & (value - 1)) != 0)
        return -EINVAL;
    return store_in_range(option, field, value);
}

static void describe_power(const struct conf_option *option, FILE *out)
{
    fprintf(out, "a power of two from %" PRIu64 " to %" PRIu64, option->min, option->max);
}

const struct conf_type conf_type_power = {CONF_SHAPE_VALUE, parse_power, describe_power};

static bool is_prime(uint64_t n)
{
    for (uint64_t divisor = 2; divisor * divisor <= n; divisor++) {
        if (n % divisor == 0)
            return false;
    }
    return n >= 2;
}

static int parse_prime(const struct conf_option *option, const char *text, void *field,
                       struct conf_arena *arena)
{
    (void)arena;
    uint64_t value;
    /* The range first: it bounds the division. */
    if (conf_parse_number(text, &value) != 0 || value > option->max || !is_prime(value))
        return -EINVAL;
    return store_in_range(option, field, value);
}

static void describe_prime(const struct conf_option *option, FILE *out)
{
    fprintf(out, "a prime number from %" PRIu64 " to %" PRIu64, option->min, option->max);
}

const struct conf_type conf_type_prime = {CONF_SHAPE_VALUE, parse_prime, describe_prime};

/* The processors that this process may run on. */
static uint64_t usable_processors(void)
{
    cpu_set_t set;
    long n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set)
                                                          : sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : (uint64_t)n;
}

static int parse_workers(const struct conf_option *option, const char *text, void *field,
                         struct conf_arena *arena)
{
    if (strcmp(text, "auto") != 0)
        return parse_number(option, text, field, arena);
    uint64_t n = usable_processors();
    store(option, field, n > option->max ? option->max : n);
    return 0;
}

static void describe_workers(const struct conf_option *option, FILE *out)
{
    fputs("`auto` or ", out);
    describe_number(option, out);
}

const struct conf_type conf_type_workers = {CONF_SHAPE_VALUE, parse_workers, describe_workers};

/* ---- other numbers */

static int parse_decimal(const struct conf_option *option, const char *text, void *field,
                         struct conf_arena *arena)
{
    (void)arena;
    double value;
    if (conf_parse_decimal(text, &value) != 0 || value < (double)option->min ||
        value > (double)option->max)
        return -EINVAL;
    *(double *)field = value;
    return 0;
}

static void describe_decimal(const struct conf_option *option, FILE *out)
{
    fprintf(out, "a number from %" PRIu64 " to %" PRIu64, option->min, option->max);
}

const struct conf_type conf_type_decimal = {CONF_SHAPE_VALUE, parse_decimal, describe_decimal};

static int parse_size(const struct conf_option *option, const char *text, void *field,
                      struct conf_arena *arena)
{
    (void)arena;
    uint64_t value;
    if (conf_parse_size(text, &value) != 0)
        return -EINVAL;
    return store_in_range(option, field, value);
}

static void describe_size(const struct conf_option *option, FILE *out)
{
    fputs("a size with its unit (b, k, m, g) from ", out);
    conf_print_size(option->min, out);
    fputs(" to ", out);
    conf_print_size(option->max, out);
}

const struct conf_type conf_type_size = {CONF_SHAPE_VALUE, parse_size, describe_size};

/* `auto` is all ones (conf.h), which no range reaches. */
static bool store_auto(const struct conf_option *option, const char *text, void *field)
{
    if (strcmp(text, "auto") != 0)
        return false;
    store(option, field, UINT64_MAX);
    return true;
}

static int parse_auto_number(const struct conf_option *option, const char *text, void *field,
                             struct conf_arena *arena)
{
    return store_auto(option, text, field) ? 0 : parse_number(option, text, field, arena);
}

static int parse_auto_size(const struct conf_option *option, const char *text, void *field,
                           struct conf_arena *arena)
{
    return store_auto(option, text, field) ? 0 : parse_size(option, text, field, arena);
}

static void describe_auto_number(const struct conf_option *option, FILE *out)
{
    fputs("`auto` or ", out);
    describe_number(option, out);
}

static void describe_auto_size(const struct conf_option *option, FILE *out)
{
    fputs("`auto` or ", out);
    describe_size(option, out);
}

const struct conf_type conf_type_auto_number = {CONF_SHAPE_VALUE, parse_auto_number,
                                                describe_auto_number};
const struct conf_type conf_type_auto_size = {CONF_SHAPE_VALUE, parse_auto_size,
                                              describe_auto_size};

static int parse_duration(const struct conf_option *option, const char *text, void *field,
                          struct conf_arena *arena)
{
    (void)arena;
    uint64_t value;
    if (conf_parse_duration(text, &value) != 0)
        return -EINVAL;
    return store_in_range(option, field, value);
}

static void describe_duration(const struct conf_option *option, FILE *out)
{
    fputs("a duration with its unit (ms, s, m, h) from ", out);
    conf_print_duration(option->min, out);
    fputs(" to ", out);
    conf_print_duration(option->max, out);
}

const struct conf_type conf_type_duration = {CONF_SHAPE_VALUE, parse_duration, describe_duration};

/* ---- words */

static const char *const bool_words[] = {"false", "true", NULL};

static int store_word(const struct conf_option *option, const char *const *words, const char *text,
                      void *field)
{
    for (uint64_t i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], text) == 0) {
            store(option, field, i);
            return 0;
        }
    }
    return -EINVAL;
}

static int parse_bool(const struct conf_option *option, const char *text, void *field,
                      struct conf_arena *arena)
{
    (void)arena;
    return store_word(option, bool_words, text, field);
}

static int parse_word(const struct conf_option *option, const char *text, void *field,
                      struct conf_arena *arena)
{
    (void)arena;
    return store_word(option, option->words, text, field);
}

static void describe_words(const char *const *words, FILE *out)
{
    for (const char *const *word = words; *word != NULL; word++) {
        bool is_last = word[1] == NULL;
        fprintf(out, "%s`%s`", word == words ? "" : is_last ? " or " : ", ", *word);
    }
}

static void describe_bool(const struct conf_option *option, FILE *out)
{
    (void)option;
    describe_words((const char *const[]){"true", "false", NULL}, out);
}

static void describe_word(const struct conf_option *option, FILE *out)
{
    describe_words(option->words, out);
}

const struct conf_type conf_type_bool = {CONF_SHAPE_VALUE, parse_bool, describe_bool};
const struct conf_type conf_type_word = {CONF_SHAPE_VALUE, parse_word, describe_word};

/* ---- text */

/* Values end up in requests, files' names and logs: nothing there may break a line. */
static bool is_printable(const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c == 0x7f)
            return false;
    }
    return true;
}

static int parse_text(const struct conf_option *option, const char *text, void *field,
                      struct conf_arena *arena)
{
    (void)option;
    if (text[0] == '\0' || !is_printable(text))
        return -EINVAL;
    return store_text(field, arena, text);
}

static void describe_text(const struct conf_option *option, FILE *out)
{
    (void)option;
    fputs("text without control characters", out);
}

const struct conf_type conf_type_text = {CONF_SHAPE_VALUE, parse_text, describe_text};
const struct conf_type conf_type_secret = {CONF_SHAPE_VALUE, parse_text, describe_text};

static int parse_method(const struct conf_option *option, const char *text, void *field,
                        struct conf_arena *arena)
{
    (void)option;
    if (strcmp(text, "GET") != 0 && strcmp(text, "HEAD") != 0)
        return -EINVAL;
    return store_text(field, arena, text);
}

static void describe_method(const struct conf_option *option, FILE *out)
{
    (void)option;
    fputs("`GET` or `HEAD`", out);
}

const struct conf_type conf_type_method = {CONF_SHAPE_VALUE, parse_method, describe_method};

/* Visible ASCII: what may stand in a request line. */
static bool is_visible(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text <= ' ' || *text > '~')
            return false;
    }
    return true;
}

static int parse_path(const struct conf_option *option, const char *text, void *field,
                      struct conf_arena *arena)
{
    (void)option;
    if (text[0] != '/' || !is_visible(text) || strchr(text, '#') != NULL)
        return -EINVAL;
    return store_text(field, arena, text);
}

static void describe_path(const struct conf_option *option, FILE *out)
{
    (void)option;
    fputs("a path that begins with / and has no spaces", out);
}

const struct conf_type conf_type_path = {CONF_SHAPE_VALUE, parse_path, describe_path};

/* ---- names of header fields */

bool conf_is_token(const char *text)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    if (text[0] == '\0')
        return false;
    for (; *text != '\0'; text++) {
        bool is_letter = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z');
        if (!is_letter && !(*text >= '0' && *text <= '9') && strchr(others, *text) == NULL)
            return false;
    }
    return true;
}

static int parse_token(const struct conf_option *option, const char *text, void *field,
                       struct conf_arena *arena)
{
    (void)option;
    return conf_is_token(text) ? store_text(field, arena, text) : -EINVAL;
}

static void describe_token(const struct conf_option *option, FILE *out)
{
    (void)option;
    fputs("a name of letters, digits and any of !#$%&'*+-.^_`|~", out);
}

const struct conf_type conf_type_token = {CONF_SHAPE_VALUE, parse_token, describe_token};

static void describe_field_names(const struct conf_option *option, FILE *out)
{
    (void)option;
    fputs("the name of a header field, or a list of them", out);
}

const struct conf_type conf_type_field_names = {CONF_SHAPE_VALUES, parse_token,
                                                describe_field_names};

/* An empty one is a value too. White space around it would not be part of it (RFC 9110 section
 * 5.5). */
static int parse_field_value(const struct conf_option *option, const char *text, void *field,
                             struct conf_arena *arena)
{
    (void)option;
    size_t n = strlen(text);
    if (!is_printable(text) || text[0] == ' ' || (n > 0 && text[n - 1] == ' '))
        return -EINVAL;
    return store_text(field, arena, text);
}

static void describe_field_values(const struct conf_option *option, FILE *out)
{
    (void)option;
    fputs("for each name of a header field a text without control characters, or spaces around it",
          out);
}

const struct conf_type conf_type_field_values = {CONF_SHAPE_PAIRS, parse_field_value,
                                                 describe_field_values};

/* What frames and routes a message, or is set by other options, cannot carry something else. */
static bool is_reserved_field(const char *name)
{
    static const char *const reserved[] = {
        "host",
        "connection",
        "content-length",
        "transfer-encoding",
        "te",
        "trailer",
        "upgrade",
        "keep-alive",
        "expect",
        "via",
        "cookie",
        "authorization",
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "date",
        "x-forwarded-port",
        "max-forwards",
        "traceparent",
        "tracestate",
        "proxy-connection",
        "user-agent",
        "referer",
        "set-cookie",
        "proxy-authenticate",
        "http2-settings",
        "proxy-authorization",
    };
    for (size_t i = 0; i < sizeof(reserved) / sizeof(*reserved); i++) {
        if (strcasecmp(name, reserved[i]) == 0)
            return true;
    }
    return false;
}

static int parse_field(const struct conf_option *option, const char *text, void *field,
                       struct conf_arena *arena)
{
    if (!conf_is_token(text) || strlen(text) > option->max || is_reserved_field(text))
        return -EINVAL;
    return store_text(field, arena, text);
}

static void describe_field(const struct conf_option *option, FILE *out)
{
    fprintf(out,
            "the name of a header field, of at most %" PRIu64
            " characters, that HTTP and quoit do not use for something else",
            option->max);
}

const struct conf_type conf_type_field = {CONF_SHAPE_VALUE, parse_field, describe_field};

/* ---- hosts and addresses */

static int parse_route_host(const struct conf_option *option, const char *text, void *field,
                            struct conf_arena *arena)
{
    (void)option;
    struct conf_host_port host;
    bool is_wildcard = strncmp(text, "*.", 2) == 0;
    const char *name = is_wildcard ? text + 2 : text;
    if (conf_parse_host(name, strlen(name), &host) != 0)
        return -EINVAL;
    if (is_wildcard && host.type != CONF_HOST_NAME)
        return -EINVAL;
    char *copy = conf_arena_alloc(arena, strlen(text) + sizeof(host.host));
    if (copy == NULL)
        return -ENOMEM;
    bool has_brackets = name[0] == '['; /* as in a Host field */
    snprintf(copy, strlen(text) + sizeof(host.host), "%s%s%s%s", is_wildcard ? "*." : "",
             has_brackets ? "[" : "", host.host, has_brackets ? "]" : "");
    *(char **)field = copy;
    return 0;
}

static void describe_route_host(const struct conf_option *option, FILE *out)
{
    (void)option;
    fputs("a host name without port, such as `images.example.com` or `*.example.com`", out);
}

const struct conf_type conf_type_route_host = {CONF_SHAPE_VALUE, parse_route_host,
                                               describe_route_host};

/* A dot before it means nothing (RFC 6265 section 5.2.3). */
static int parse_domain(const struct conf_option *option, const char *text, void *field,
                        struct conf_arena *arena)
{
    (void)option;
    struct conf_host_port host;
    const char *name = text[0] == '.' ? text + 1 : text;
    if (conf_parse_host(name, strlen(name), &host) != 0 || host.type != CONF_HOST_NAME)
        return -EINVAL;
    return store_text(field, arena, host.host);
}

static void describe_domain(const struct conf_option *option, FILE *out)
{
    (void)option;
    fputs("a host name such as `example.com`", out);
}

const struct conf_type conf_type_domain = {CONF_SHAPE_VALUE, parse_domain, describe_domain};

static int parse_listen(const struct conf_option *option, const char *text, void *field,
                        struct conf_arena *arena)
{
    (void)option;
    struct conf_listener *listener = field;
    struct conf_host_port address;
    if (conf_parse_host_port(text, &address) != 0 || address.type == CONF_HOST_NAME)
        return -EINVAL;
    listener->port = address.port;
    return address.type == CONF_HOST_ALL ? 0 : store_text(&listener->host, arena, address.host);
}

static void describe_listen(const struct conf_option *option, FILE *out)
{
    (void)option;
    fputs("a numeric address with its port: `127.0.0.1:8080`, `[::1]:8080`, or `:8080` for all "
          "addresses",
          out);
}

const struct conf_type conf_type_listen = {CONF_SHAPE_VALUE, parse_listen, describe_listen};

static int parse_endpoint(const struct conf_option *option, const char *text, void *field,
                          struct conf_arena *arena)
{
    (void)option;
    struct conf_endpoint *endpoint = field;
    struct conf_host_port address;
    if (conf_parse_host_port(text, &address) != 0 || address.type == CONF_HOST_ALL)
        return -EINVAL;
    endpoint->port = address.port;
    return store_text(&endpoint->host, arena, address.host);
}

static void describe_endpoint(const struct conf_option *option, FILE *out)
{
    (void)option;
    fputs("a host with its port: `10.0.0.1:80`, `[2001:db8::1]:80` or `images.internal:80`", out);
}

const struct conf_type conf_type_endpoint = {CONF_SHAPE_VALUE, parse_endpoint, describe_endpoint};

/* Scheme and authority; a single slash behind them is dropped, a path refused. */
static int parse_url(const struct conf_option *option, const char *text, void *field,
                     struct conf_arena *arena)
{
    (void)option;
    struct conf_host_port address;
    const char *host = NULL;
    if (strncmp(text, "http://", 7) == 0)
        host = text + 7;
    else if (strncmp(text, "https://", 8) == 0)
        host = text + 8;
    if (host == NULL)
        return -EINVAL;
    char *copy = conf_arena_text(arena, text, strlen(text));
    if (copy == NULL)
        return -ENOMEM;
    char *authority = copy + (host - text);
    size_t n = strlen(authority);
    if (n > 0 && authority[n - 1] == '/')
        authority[--n] = '\0';
    bool has_port = conf_parse_host_port(authority, &address) == 0;
    if (has_port ? address.type == CONF_HOST_ALL : conf_parse_host(authority, n, &address) != 0)
        return -EINVAL;
    *(char **)field = copy;
    return 0;
}

static void describe_urls(const struct conf_option *option, FILE *out)
{
    (void)option;
    fputs("an address such as `http://127.0.0.1:8500` or `https://consul.internal:8501`, or a list "
          "of them",
          out);
}

const struct conf_type conf_type_urls = {CONF_SHAPE_VALUES, parse_url, describe_urls};

/* Whether no bit is set behind the first `bits` of the n bytes. */
static bool is_prefix(const uint8_t *address, size_t n, uint64_t bits)
{
    for (uint64_t i = bits; i < n * 8; i++) {
        if ((address[i / 8] >> (7 - i % 8) & 1) != 0)
            return false;
    }
    return true;
}

/* IPv4 mapped into IPv6 (RFC 4291 section 2.5.5.2) is IPv4. */
static void unmap(struct conf_cidr *cidr)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (!cidr->is_v6 || cidr->bits < 96 || memcmp(cidr->address, mapped, sizeof(mapped)) != 0)
        return;
    cidr->is_v6 = false;
    cidr->bits = (uint8_t)(cidr->bits - 96);
    memmove(cidr->address, cidr->address + sizeof(mapped), 4);
    memset(cidr->address + 4, 0, sizeof(cidr->address) - 4);
}

/* An address alone is a range of one. Bits behind the prefix are a mistake. */
static int parse_cidr(const struct conf_option *option, const char *text, void *field,
                      struct conf_arena *arena)
{
    (void)option;
    (void)arena;
    char address[INET6_ADDRSTRLEN];
    size_t n = strcspn(text, "/");
    if (n >= sizeof(address))
        return -EINVAL;
    memcpy(address, text, n);
    address[n] = '\0';
    struct conf_cidr cidr = {.is_v6 = strchr(address, ':') != NULL};
    if (inet_pton(cidr.is_v6 ? AF_INET6 : AF_INET, address, cidr.address) != 1)
        return -EINVAL;
    size_t n_bytes = cidr.is_v6 ? 16 : 4;
    uint64_t bits = n_bytes * 8;
    if (text[n] == '/' && conf_parse_number(text + n + 1, &bits) != 0)
        return -EINVAL;
    if (bits > n_bytes * 8 || !is_prefix(cidr.address, n_bytes, bits))
        return -EINVAL;
    cidr.bits = (uint8_t)bits;
    unmap(&cidr);
    *(struct conf_cidr *)field = cidr;
    return 0;
}

static void describe_cidrs(const struct conf_option *option, FILE *out)
{
    (void)option;
    fputs("an address or a range of them without bits behind its prefix, such as `10.0.0.0/8` or "
          "`2001:db8::/32`, or a list of them",
          out);
}

const struct conf_type conf_type_cidrs = {CONF_SHAPE_VALUES, parse_cidr, describe_cidrs};

/* ---- when requests are tried again */

static const struct {
    const char *word;
    uint8_t conditions;
} retry_words[] = {
    {"failure", CONF_RETRY_FAILURE}, {"connect", CONF_RETRY_CONNECT},
    {"refused", CONF_RETRY_REFUSED}, {"reset", CONF_RETRY_RESET},
    {"timeout", CONF_RETRY_TIMEOUT}, {"502", CONF_RETRY_502},
    {"503", CONF_RETRY_503},         {"504", CONF_RETRY_504},
};

static int parse_retry_on(const struct conf_option *option, const char *text, void *field,
                          struct conf_arena *arena)
{
    (void)option, (void)arena;
    for (size_t i = 0; i < sizeof(retry_words) / sizeof(*retry_words); i++) {
        if (strcmp(retry_words[i].word, text) == 0) {
            *(uint8_t *)field = retry_words[i].conditions;
            return 0;
        }
    }
    return -EINVAL;
}

static void describe_retry_on(const struct conf_option *option, FILE *out)
{
    (void)option;
    const char *words[sizeof(retry_words) / sizeof(*retry_words) + 1] = {NULL};
    for (size_t i = 0; i < sizeof(retry_words) / sizeof(*retry_words); i++)
        words[i] = retry_words[i].word;
    describe_words(words, out);
}

const struct conf_type conf_type_retry_on = {CONF_SHAPE_VALUES, parse_retry_on, describe_retry_on};

/* ---- application protocols */

static const char *const alpn_words[] = {
    [CONF_ALPN_HTTP_1_1] = "http/1.1", [CONF_ALPN_HTTP_2] = "h2", NULL};

static int parse_alpn(const struct conf_option *option, const char *text, void *field,
                      struct conf_arena *arena)
{
    (void)option, (void)arena;
    for (uint8_t i = 0; alpn_words[i] != NULL; i++) {
        if (strcmp(alpn_words[i], text) == 0) {
            *(uint8_t *)field = i;
            return 0;
        }
    }
    return -EINVAL;
}

static void describe_alpn(const struct conf_option *option, FILE *out)
{
    (void)option;
    for (size_t i = 0; alpn_words[i] != NULL; i++)
        fprintf(out, "%s`%s`", i == 0 ? "" : " or ", alpn_words[i]);
}

const struct conf_type conf_type_alpn = {CONF_SHAPE_VALUES, parse_alpn, describe_alpn};

/* ---- status codes */

static int parse_statuses(const struct conf_option *option, const char *text, void *field,
                          struct conf_arena *arena)
{
    (void)arena;
    struct conf_status_range *range = field;
    char first[4];
    uint64_t low;
    uint64_t high;
    size_t n = strcspn(text, "-");
    if (n != sizeof(first) - 1)
        return -EINVAL;
    memcpy(first, text, n);
    first[n] = '\0';
    const char *last = text[n] == '-' ? text + n + 1 : first;
    if (conf_parse_number(first, &low) != 0 || conf_parse_number(last, &high) != 0)
        return -EINVAL;
    if (low < option->min || high > option->max || low > high)
        return -EINVAL;
    *range = (struct conf_status_range){.low = (uint16_t)low, .high = (uint16_t)high};
    return 0;
}

static void describe_statuses(const struct conf_option *option, FILE *out)
{
    fprintf(out,
            "a status code or range from %" PRIu64 " to %" PRIu64
            ", such as `200` or `200-399`, or a list of them",
            option->min, option->max);
}

const struct conf_type conf_type_statuses = {CONF_SHAPE_VALUES, parse_statuses, describe_statuses};

/* ---- sections */

static void describe_section(const struct conf_option *option, FILE *out)
{
    fputs("a map of options", out);
    if (option->shorthand != NULL)
        fprintf(out, ", or the `%s` alone", option->shorthand);
}

static void describe_list(const struct conf_option *option, FILE *out)
{
    fputs("a list; each entry is ", out);
    describe_section(option, out);
}

static void describe_map(const struct conf_option *option, FILE *out)
{
    fputs("a map from names to sections; each section is ", out);
    describe_section(option, out);
}

const struct conf_type conf_type_section = {CONF_SHAPE_SECTION, NULL, describe_section};
const struct conf_type conf_type_list = {CONF_SHAPE_LIST, NULL, describe_list};
const struct conf_type conf_type_map = {CONF_SHAPE_MAP, NULL, describe_map};
