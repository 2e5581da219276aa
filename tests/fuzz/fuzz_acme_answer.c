/* Any bytes as an authority's answer: refused, or what its struct promises. The first byte says
 * what was asked for. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/acme/answers.h"
#include "balancer/acme/issued.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_url(const char *url)
{
    assert(strlen(url) < ACME_URL_SIZE);
    assert(strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0);
    assert(strpbrk(url, " \"\\\r\n\t") == NULL);
}

static void check_problem(const struct acme_problem *problem)
{
    const char *const texts[] = {problem->type, problem->detail, problem->subproblems};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (const char *c = texts[i]; *c != '\0'; c++)
            assert(*c >= ' ' && *c <= '~');
}

static void try_directory(const char *text, size_t n)
{
    struct acme_directory directory;
    const char *why = NULL;
    int rc = acme_read_directory(text, n, &directory, &why);
    assert((rc == 0) == (why == NULL));
    if (rc != 0)
        return;
    check_url(directory.new_nonce);
    check_url(directory.new_account);
    check_url(directory.new_order);
    if (directory.renewal_info[0] != '\0')
        check_url(directory.renewal_info);
}

static void try_order(const char *text, size_t n)
{
    static struct acme_order order;
    const char *why = NULL;
    int rc = acme_read_order(text, n, &order, &why);
    assert((rc == 0) == (why == NULL));
    if (rc != 0)
        return;
    check_url(order.finalize);
    assert(order.n_authorizations > 0 && order.n_authorizations <= CONF_ACME_MAX_NAMES);
    for (size_t i = 0; i < order.n_authorizations; i++)
        check_url(order.authorizations[i]);
    if (order.certificate[0] != '\0')
        check_url(order.certificate);
    check_problem(&order.problem);
}

static void try_authorization(const char *text, size_t n)
{
    struct acme_authorization authorization;
    const char *why = NULL;
    int rc = acme_read_authorization(text, n, "http-01", &authorization, &why);
    assert((rc == 0) == (why == NULL));
    if (rc != 0)
        return;
    assert(authorization.name[0] != '\0');
    if (authorization.url[0] != '\0') {
        check_url(authorization.url);
        assert(authorization.token[0] != '\0' && strpbrk(authorization.token, "/.% ") == NULL);
    }
    check_problem(&authorization.problem);
}

static void try_window(const char *text, size_t n)
{
    struct acme_window window;
    const char *why = NULL;
    int rc = acme_read_window(text, n, &window, &why);
    assert((rc == 0) == (why == NULL));
    assert(rc != 0 || window.end_s > window.start_s);
}

static void try_certificate(const char *text, size_t n)
{
    char name[] = "a.test", *names[] = {name};
    struct issued issued;
    const char *why = NULL;
    int rc = issued_read(text, n, names, 1, 0, &issued, &why);
    assert((rc == 0) == (why == NULL));
    assert(rc != 0 || strlen(issued.id) < ISSUED_ID_SIZE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct acme_problem problem;
    if (n == 0)
        return 0;
    const char *text = (const char *)data + 1;
    switch (data[0]) {
    case 'd':
        try_directory(text, n - 1);
        break;
    case 'o':
        try_order(text, n - 1);
        break;
    case 'a':
        try_authorization(text, n - 1);
        break;
    case 'w':
        try_window(text, n - 1);
        break;
    case 'c':
        try_certificate(text, n - 1);
        break;
    default:
        acme_read_problem(text, n - 1, &problem);
        check_problem(&problem);
    }
    return 0;
}
