/*
 * What an authority answers (RFC 8555 section 7.1, RFC 9773 section 4.2): pure parsers from JSON to
 * plain structs. Nothing in an answer is believed beyond its size here, and what has another form
 * than it must have is an error, said in *ret_why (a constant).
 */
#ifndef QUOIT_BALANCER_ACME_ANSWERS_H
#define QUOIT_BALANCER_ACME_ANSWERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"

/* No answer may be larger. */
#define ACME_MAX_ANSWER_BYTES ((size_t)256 * 1024)

#define ACME_URL_SIZE 512
#define ACME_TOKEN_SIZE 129
#define ACME_NAME_SIZE 254

struct acme_directory {
    char new_nonce[ACME_URL_SIZE];
    char new_account[ACME_URL_SIZE];
    char new_order[ACME_URL_SIZE];
    char renewal_info[ACME_URL_SIZE]; /* "": it has none */
    bool needs_binding;               /* of accounts to external ones */
};

enum acme_status {
    ACME_PENDING,
    ACME_READY,
    ACME_PROCESSING,
    ACME_VALID,
    ACME_INVALID, /* and whatever else will not become valid */
};

/* RFC 7807, made printable and cut to its room; type "" where there is none. */
struct acme_problem {
    char type[128]; /* without "urn:ietf:params:acme:error:" */
    char detail[512];
    char subproblems[1024]; /* "name: type: detail", joined by "; " */
};

struct acme_order {
    enum acme_status status;
    char finalize[ACME_URL_SIZE];
    char certificate[ACME_URL_SIZE]; /* "": not there yet */
    struct acme_problem problem;
    size_t n_authorizations;
    char authorizations[CONF_ACME_MAX_NAMES][ACME_URL_SIZE];
};

struct acme_authorization {
    enum acme_status status;
    char name[ACME_NAME_SIZE];
    char url[ACME_URL_SIZE]; /* of the challenge of the wanted type; "": there is none */
    char token[ACME_TOKEN_SIZE];
    struct acme_problem problem; /* of that challenge */
};

/* When a certificate is best renewed; Unix times, end > start. */
struct acme_window {
    int64_t start_s, end_s;
};

/* All return 0 or -EBADMSG. */
int acme_read_directory(const char *text, size_t n, struct acme_directory *ret_directory,
                        const char **ret_why);
int acme_read_order(const char *text, size_t n, struct acme_order *ret_order, const char **ret_why);
int acme_read_authorization(const char *text, size_t n, const char *type,
                            struct acme_authorization *ret_authorization, const char **ret_why);
int acme_read_window(const char *text, size_t n, struct acme_window *ret_window,
                     const char **ret_why);

/* A problem document; what is none is a problem without a type. */
void acme_read_problem(const char *text, size_t n, struct acme_problem *ret_problem);

/* Whether it is of that type of RFC 8555 section 6.7, as in "rateLimited". */
bool acme_problem_is(const struct acme_problem *problem, const char *type);

/* Whether text may be asked for: visible ASCII of an http or https URL that fits into
 * ACME_URL_SIZE. */
bool acme_is_url(const char *text);

/* A time of RFC 3339. Returns 0 or -EINVAL. */
int acme_read_time(const char *text, int64_t *ret_time_s);

#endif
