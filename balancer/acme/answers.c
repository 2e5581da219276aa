#include "balancer/acme/answers.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define TYPE_PREFIX "urn:ietf:params:acme:error:"
#define MAX_SUBPROBLEMS 32
/* No time of a certificate is beyond. */
#define LAST_YEAR 9999

/* ---- parts */

static json_t *parse(const char *text, size_t n, const char **ret_why)
{
    if (n > ACME_MAX_ANSWER_BYTES) {
        *ret_why = "the answer is too large";
        return NULL;
    }
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(root))
        return root;
    json_decref(root);
    *ret_why = "the answer is no JSON object";
    return NULL;
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

bool acme_is_url(const char *text)
{
    size_t n = strnlen(text, ACME_URL_SIZE);
    if (n == ACME_URL_SIZE ||
        (strncmp(text, "https://", 8) != 0 && strncmp(text, "http://", 7) != 0))
        return false;
    for (size_t i = 0; i < n; i++)
        if (text[i] <= ' ' || text[i] > '~' || text[i] == '"' || text[i] == '\\')
            return false;
    return true;
}

static bool copy_url(const char *text, char ret_url[ACME_URL_SIZE])
{
    bool is_url = acme_is_url(text);
    if (is_url)
        memcpy(ret_url, text, strlen(text) + 1);
    return is_url;
}

static bool take_url(const json_t *object, const char *name, char ret_url[ACME_URL_SIZE])
{
    return copy_url(text_of(object, name), ret_url);
}

static bool take_status(const json_t *object, enum acme_status *ret_status)
{
    static const char *const words[] = {[ACME_PENDING] = "pending",
                                        [ACME_READY] = "ready",
                                        [ACME_PROCESSING] = "processing",
                                        [ACME_VALID] = "valid"};
    const char *text = text_of(object, "status");
    *ret_status = ACME_INVALID;
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i], text) == 0)
            *ret_status = (enum acme_status)i;
    return text[0] != '\0';
}

/* ---- problems */

/* For people and logs: plain ASCII only, and what is too long is cut. */
static void copy_text(const char *text, char *ret_text, size_t size)
{
    (void)snprintf(ret_text, size, "%s", text);
    for (char *c = ret_text; *c != '\0'; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
}

static const char *short_type(const json_t *problem)
{
    const char *type = text_of(problem, "type");
    size_t n = strlen(TYPE_PREFIX);
    return strncmp(type, TYPE_PREFIX, n) == 0 ? type + n : type;
}

static void take_subproblems(const json_t *list, struct acme_problem *problem)
{
    char text[sizeof problem->subproblems];
    size_t used = 0, index;
    const json_t *one;
    text[0] = '\0';
    json_array_foreach(list, index, one)
    {
        if (index >= MAX_SUBPROBLEMS || used >= sizeof text)
            break;
        int n = snprintf(text + used, sizeof text - used, "%s%s: %s: %s", index > 0 ? "; " : "",
                         text_of(json_object_get(one, "identifier"), "value"), short_type(one),
                         text_of(one, "detail"));
        used += n > 0 ? (size_t)n : 0;
    }
    copy_text(text, problem->subproblems, sizeof problem->subproblems);
}

static void take_problem(const json_t *object, struct acme_problem *ret_problem)
{
    struct acme_problem problem = {.type = ""};
    copy_text(short_type(object), problem.type, sizeof problem.type);
    copy_text(text_of(object, "detail"), problem.detail, sizeof problem.detail);
    take_subproblems(json_object_get(object, "subproblems"), &problem);
    *ret_problem = problem;
}

void acme_read_problem(const char *text, size_t n, struct acme_problem *ret_problem)
{
    const char *why;
    json_t *root = parse(text, n, &why);
    take_problem(root, ret_problem);
    json_decref(root);
}

bool acme_problem_is(const struct acme_problem *problem, const char *type)
{
    return strcmp(problem->type, type) == 0;
}

/* ---- the directory */

int acme_read_directory(const char *text, size_t n, struct acme_directory *ret_directory,
                        const char **ret_why)
{
    struct acme_directory directory = {.new_nonce = ""};
    json_t *root = parse(text, n, ret_why);
    if (root == NULL)
        return -EBADMSG;
    bool is_good = take_url(root, "newNonce", directory.new_nonce) &&
                   take_url(root, "newAccount", directory.new_account) &&
                   take_url(root, "newOrder", directory.new_order);
    (void)take_url(root, "renewalInfo", directory.renewal_info);
    directory.needs_binding =
        json_is_true(json_object_get(json_object_get(root, "meta"), "externalAccountRequired"));
    json_decref(root);
    if (!is_good) {
        *ret_why = "the directory has no newNonce, newAccount or newOrder";
        return -EBADMSG;
    }
    *ret_directory = directory;
    return 0;
}

/* ---- orders */

static bool take_authorizations(const json_t *list, struct acme_order *order)
{
    size_t n = json_array_size(list);
    if (n == 0 || n > CONF_ACME_MAX_NAMES)
        return false;
    for (size_t i = 0; i < n; i++) {
        const char *url = json_string_value(json_array_get(list, i));
        if (url == NULL || !copy_url(url, order->authorizations[i]))
            return false;
    }
    order->n_authorizations = n;
    return true;
}

int acme_read_order(const char *text, size_t n, struct acme_order *ret_order, const char **ret_why)
{
    json_t *root = parse(text, n, ret_why);
    if (root == NULL)
        return -EBADMSG;
    struct acme_order order = {.n_authorizations = 0};
    bool is_good = take_status(root, &order.status) && take_url(root, "finalize", order.finalize) &&
                   take_authorizations(json_object_get(root, "authorizations"), &order);
    (void)take_url(root, "certificate", order.certificate);
    take_problem(json_object_get(root, "error"), &order.problem);
    json_decref(root);
    if (!is_good) {
        *ret_why = "the order has no status, finalize or authorizations";
        return -EBADMSG;
    }
    *ret_order = order;
    return 0;
}

/* ---- authorizations */

static bool is_token(const char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t n = strlen(text);
    return n > 0 && n < ACME_TOKEN_SIZE && strspn(text, digits) == n;
}

static void take_challenge(const json_t *list, const char *type,
                           struct acme_authorization *authorization)
{
    size_t index;
    const json_t *one;
    json_array_foreach(list, index, one)
    {
        const char *token = text_of(one, "token");
        char url[ACME_URL_SIZE];
        if (strcmp(text_of(one, "type"), type) != 0 || !is_token(token) ||
            !take_url(one, "url", url))
            continue;
        memcpy(authorization->url, url, sizeof url);
        (void)snprintf(authorization->token, sizeof authorization->token, "%s", token);
        take_problem(json_object_get(one, "error"), &authorization->problem);
        return;
    }
}

int acme_read_authorization(const char *text, size_t n, const char *type,
                            struct acme_authorization *ret_authorization, const char **ret_why)
{
    struct acme_authorization authorization = {.name = ""};
    json_t *root = parse(text, n, ret_why);
    if (root == NULL)
        return -EBADMSG;
    const char *name = text_of(json_object_get(root, "identifier"), "value");
    bool is_good = take_status(root, &authorization.status) && name[0] != '\0' &&
                   strlen(name) < sizeof authorization.name;
    if (is_good)
        copy_text(name, authorization.name, sizeof authorization.name);
    take_challenge(json_object_get(root, "challenges"), type, &authorization);
    json_decref(root);
    if (!is_good) {
        *ret_why = "the authorization has no status or identifier";
        return -EBADMSG;
    }
    *ret_authorization = authorization;
    return 0;
}

/* ---- renewal */

/* A number of so many digits; -1: there is none. */
static int take_digits(const char **at, int n)
{
    int value = 0;
    for (int i = 0; i < n; i++) {
        char c = **at;
        if (c < '0' || c > '9')
            return -1;
        value = value * 10 + (c - '0');
        (*at)++;
    }
    return value;
}

/* Digits with what stands before each: "2026-01-31T10:00:00". */
static bool take_date(const char **at, struct tm *ret_date)
{
    static const struct {
        char before; /* '\0': nothing */
        int digits, low, high;
    } parts[] = {{'\0', 4, 1970, LAST_YEAR},
                 {'-', 2, 1, 12},
                 {'-', 2, 1, 31},
                 {'T', 2, 0, 23},
                 {':', 2, 0, 59},
                 {':', 2, 0, 60}};
    int values[sizeof parts / sizeof *parts];
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (parts[i].before != '\0' && *(*at)++ != parts[i].before)
            return false;
        values[i] = take_digits(at, parts[i].digits);
        if (values[i] < parts[i].low || values[i] > parts[i].high)
            return false;
    }
    *ret_date = (struct tm){.tm_year = values[0] - 1900,
                            .tm_mon = values[1] - 1,
                            .tm_mday = values[2],
                            .tm_hour = values[3],
                            .tm_min = values[4],
                            .tm_sec = values[5]};
    return true;
}

/* "Z", or "+02:00". */
static bool take_zone(const char *at, int *ret_offset_s)
{
    *ret_offset_s = 0;
    if (strcmp(at, "Z") == 0)
        return true;
    int sign = *at == '-' ? -1 : 1;
    if (*at != '+' && *at != '-')
        return false;
    at++;
    int hours = take_digits(&at, 2);
    if (hours < 0 || hours > 23 || *at++ != ':')
        return false;
    int minutes = take_digits(&at, 2);
    *ret_offset_s = sign * (hours * 3600 + minutes * 60);
    return minutes >= 0 && minutes <= 59 && *at == '\0';
}

int acme_read_time(const char *text, int64_t *ret_time_s)
{
    struct tm date;
    int offset_s;
    if (!take_date(&text, &date))
        return -EINVAL;
    if (*text == '.')
        text += 1 + strspn(text + 1, "0123456789");
    if (!take_zone(text, &offset_s))
        return -EINVAL;
    *ret_time_s = (int64_t)timegm(&date) - offset_s;
    return 0;
}

int acme_read_window(const char *text, size_t n, struct acme_window *ret_window,
                     const char **ret_why)
{
    struct acme_window window;
    json_t *root = parse(text, n, ret_why);
    if (root == NULL)
        return -EBADMSG;
    const json_t *suggested = json_object_get(root, "suggestedWindow");
    bool is_good = acme_read_time(text_of(suggested, "start"), &window.start_s) == 0 &&
                   acme_read_time(text_of(suggested, "end"), &window.end_s) == 0 &&
                   window.end_s > window.start_s;
    json_decref(root);
    if (!is_good) {
        *ret_why = "the renewal information has no window";
        return -EBADMSG;
    }
    *ret_window = window;
    return 0;
}
