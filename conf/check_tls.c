#include "conf/check_tls.h"

#include <stdio.h>

struct tls_checker {
    size_t index;
    const struct conf_node *listener;
    const struct conf_node *tls; /* the section */
    struct conf_errors *errors;
};

/* About an option called name, at its value, or where the section stands. */
static void report(const struct tls_checker *checker, const char *name, const char *text)
{
    char key[96];
    const struct conf_node *value = conf_node_get(checker->tls, name);
    struct conf_place place = value != NULL ? value->place : checker->tls->place;
    (void)snprintf(key, sizeof key, "listeners.%zu.tls.%s", checker->index, name);
    conf_errors_add(checker->errors, place, key, "%s", text);
}

static void check_section(const struct tls_checker *checker, const struct conf_tls *tls)
{
    const struct conf_node *list = conf_node_get(checker->tls, "certificates");
    if (conf_node_is_set(list) && tls->n_certificates == 0)
        report(checker, "certificates", "found an empty list, expected at least one certificate");
    if (tls->min_version > tls->max_version)
        report(checker, "max_version", "found less than min_version, expected at least that");
    if (tls->client_auth != CONF_CLIENT_AUTH_NONE && tls->client_ca_file == NULL)
        report(checker, "client_auth",
               "found it without client_ca_file, expected that to say who is trusted");
    if (tls->client_crl_file != NULL && tls->client_auth == CONF_CLIENT_AUTH_NONE)
        report(checker, "client_crl_file", "found it without client_auth, expected both or none");
    if (tls->ticket_file != NULL && !tls->has_tickets)
        report(checker, "ticket_file", "found it without tickets, expected both or none");
}

void conf_check_tls(const struct conf_listener *listener, size_t index,
                    const struct conf_node *listeners, struct conf_errors *errors)
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
}
