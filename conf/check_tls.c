#include "conf/check_tls.h"

#include <stdio.h>

struct tls_checker {
    size_t index;
    const struct conf_node *listener;
    const struct conf_node *tls; /* the section */
    struct conf_errors *errors;
};

static void report_at(const struct tls_checker *checker, struct conf_place place, const char *name,
                      const char *text)
{
    char key[128];
    (void)snprintf(key, sizeof key, "listeners.%zu.tls.%s", checker->index, name);
    conf_errors_add(checker->errors, place, key, "%s", text);
}

/* About an option called name, at its value, or where the section stands. */
static void report(const struct tls_checker *checker, const char *name, const char *text)
{
    const struct conf_node *value = conf_node_get(checker->tls, name);
    report_at(checker, value != NULL ? value->place : checker->tls->place, name, text);
}

/* One with files of the operator's, or with names that quoit gets it for. */
static void check_certificate(const struct tls_checker *checker, const struct conf_node *node,
                              size_t index)
{
    static const char *const others[] = {"cert", "key", "ocsp"};
    char name[64];
    bool is_acme = conf_node_is_set(conf_node_get(node, "acme"));
    if (node->type != CONF_NODE_MAP && node->type != CONF_NODE_NULL)
        return;
    (void)snprintf(name, sizeof name, "certificates.%zu.%s", index, is_acme ? "acme" : "cert");
    if (!is_acme && !conf_node_is_set(conf_node_get(node, "cert")))
        report_at(checker, node->place, name, "missing, expected it or acme");
    for (size_t i = 0; is_acme && i < sizeof others / sizeof *others; i++)
        if (conf_node_is_set(conf_node_get(node, others[i])))
            report_at(checker, node->place, name,
                      "found it with files, expected names or files: quoit keeps those it gets");
}

static void check_certificates(const struct tls_checker *checker)
{
    const struct conf_node *list = conf_node_get(checker->tls, "certificates");
    if (!conf_node_is_set(list)) {
        if (!conf_node_is_set(conf_node_get(checker->tls, "acme")))
            report(checker, "certificates", "missing, expected it or acme");
        return;
    }
    if (list->type != CONF_NODE_LIST) {
        check_certificate(checker, list, 0);
        return;
    }
    if (list->n == 0)
        report(checker, "certificates", "found an empty list, expected at least one certificate");
    for (size_t i = 0; i < list->n; i++)
        check_certificate(checker, conf_node_at(list, i), i);
}

static bool offers(const struct conf_tls *tls, enum conf_alpn protocol)
{
    bool does = tls->n_alpn == 0;
    for (size_t i = 0; i < tls->n_alpn; i++)
        does = does || tls->alpn[i] == protocol;
    return does;
}

static void check_section(const struct tls_checker *checker, const struct conf_tls *tls)
{
    if (checker->tls->type == CONF_NODE_MAP)
        check_certificates(checker);
    if (tls->min_version > tls->max_version)
        report(checker, "max_version", "found less than min_version, expected at least that");
    if (tls->client_auth != CONF_CLIENT_AUTH_NONE && tls->client_ca_file == NULL)
        report(checker, "client_auth",
               "found it without client_ca_file, expected that to say who is trusted");
    bool asks = tls->client_auth != CONF_CLIENT_AUTH_NONE;
    if (tls->client_ca_file != NULL && !asks)
        report(checker, "client_ca_file", "found it without client_auth, expected both or none");
    if (tls->client_crl_file != NULL && !asks)
        report(checker, "client_crl_file", "found it without client_auth, expected both or none");
    if (tls->ticket_file != NULL && !tls->has_tickets)
        report(checker, "ticket_file", "found it without tickets, expected both or none");
    if (tls->n_cached_sessions > 0 && asks)
        report(checker, "session_cache", "found it with client_auth, expected one of them");
}

/* Leaves one protocol. A client that offers something else is told so in the handshake. */
static void agree_on(const struct tls_checker *checker, struct conf_tls *tls,
                     enum conf_alpn protocol, const char *mistake)
{
    static uint8_t lists[][1] = {
        [CONF_ALPN_HTTP_1_1] = {CONF_ALPN_HTTP_1_1}, [CONF_ALPN_HTTP_2] = {CONF_ALPN_HTTP_2}};
    if (!offers(tls, protocol))
        report(checker, "alpn", mistake);
    tls->alpn = lists[protocol];
    tls->n_alpn = 1;
}

void conf_check_tls(struct conf_listener *listener, size_t index, const struct conf_node *listeners,
                    struct conf_errors *errors)
{
    if (listeners == NULL)
        return;
    struct tls_checker checker = {.index = index, .errors = errors};
    bool is_list = listeners->type == CONF_NODE_LIST;
    checker.listener = is_list ? conf_node_at(listeners, index) : listeners;
    checker.tls = conf_node_get(checker.listener, "tls");
    if (!conf_node_is_set(checker.tls))
        return;
    check_section(&checker, &listener->tls);
    if (listener->redirect_https)
        report(&checker, "certificates",
               "found TLS on a listener with redirect_https, expected one of them");
    if (listener->http2 == CONF_HTTP2_ONLY)
        agree_on(&checker, &listener->tls, CONF_ALPN_HTTP_2,
                 "found no h2 on a listener with http2: only, expected it");
    if (listener->http2 == CONF_HTTP2_OFF)
        agree_on(&checker, &listener->tls, CONF_ALPN_HTTP_1_1,
                 "found no http/1.1 on a listener with http2: off, expected it");
}
