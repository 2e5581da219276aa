#include "conf/check_acme.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define AGREEMENT                                                                                  \
    ", expected true: an authority gives certificates only to those who agree to its terms of "    \
    "service"

struct acme_checker {
    struct conf *conf;
    const struct conf_node *root;
    const struct conf_node *acme; /* the section; NULL: there is none */
    struct conf_arena *arena;
    struct conf_errors *errors;
};

/* Where a certificate stands. */
struct position {
    size_t listener, certificate;
};

/* ---- places */

static struct conf_place place_in(const struct acme_checker *checker,
                                  const struct conf_node *section, const char *name)
{
    const struct conf_node *value = conf_node_get(section, name);
    if (value != NULL)
        return value->place;
    return section != NULL ? section->place : checker->root->place;
}

/* About an option of the section. */
static void report(const struct acme_checker *checker, const char *name, const char *text)
{
    char key[64];
    (void)snprintf(key, sizeof key, "acme.%s", name);
    conf_errors_add(checker->errors, place_in(checker, checker->acme, name), key, "%s", text);
}

static const struct conf_node *tls_node(const struct acme_checker *checker, size_t listener)
{
    const struct conf_node *all = conf_node_get(checker->root, "listeners");
    bool is_list = all != NULL && all->type == CONF_NODE_LIST;
    return conf_node_get(is_list ? conf_node_at(all, listener) : all, "tls");
}

/* About a list of names: in `certificates`, or in the short form. */
static void report_names(const struct acme_checker *checker, const struct position *at,
                         const char *format, const char *name)
{
    char key[96], quoted[CONF_QUOTE_SIZE];
    const struct conf_tls *tls = &checker->conf->listeners[at->listener].tls;
    const struct conf_node *node = tls_node(checker, at->listener);
    bool is_short = tls->n_acme_names > 0 && at->certificate == tls->n_certificates - 1;
    if (is_short) {
        (void)snprintf(key, sizeof key, "listeners.%zu.tls.acme", at->listener);
    } else {
        const struct conf_node *list = conf_node_get(node, "certificates");
        bool is_list = list != NULL && list->type == CONF_NODE_LIST;
        node = is_list ? conf_node_at(list, at->certificate) : list;
        (void)snprintf(key, sizeof key, "listeners.%zu.tls.certificates.%zu.acme", at->listener,
                       at->certificate);
    }
    conf_errors_add(checker->errors, place_in(checker, node, "acme"), key, "found %s %s",
                    conf_quote(name, quoted), format);
}

/* ---- the short form becomes one more certificate */

static int add_short_form(const struct acme_checker *checker, struct conf_tls *tls)
{
    size_t n = tls->n_certificates;
    if (tls->n_acme_names == 0)
        return 0;
    struct conf_certificate *all = conf_arena_alloc(checker->arena, (n + 1) * sizeof *all);
    if (all == NULL)
        return -ENOMEM;
    if (n > 0)
        memcpy(all, tls->certificates, n * sizeof *all);
    all[n].names = tls->acme_names;
    all[n].n_names = tls->n_acme_names;
    tls->certificates = all;
    tls->n_certificates = n + 1;
    return 0;
}

/* ---- files */

/* Each directory has a folder: scheme dropped, what is no letter, digit, dot or dash a dash. */
static int name_folder(const struct acme_checker *checker)
{
    struct conf_acme *acme = &checker->conf->acme;
    const char *authority = strchr(acme->directory, '/') + 2;
    size_t room = strlen(acme->storage) + 1 + strlen(authority) + 1;
    char *folder = conf_arena_alloc(checker->arena, room);
    if (folder == NULL)
        return -ENOMEM;
    int n = snprintf(folder, room, "%s/", acme->storage);
    for (const char *c = authority; *c != '\0'; c++) {
        bool is_plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                        (*c >= '0' && *c <= '9') || *c == '.';
        folder[n++] = '-';
        if (is_plain)
            folder[n - 1] = *c;
    }
    acme->folder = folder;
    return 0;
}

static int name_file(const struct acme_checker *checker, struct conf_certificate *certificate)
{
    const char *folder = checker->conf->acme.folder, *name = certificate->names[0];
    size_t room = strlen(folder) + 1 + strlen(name) + sizeof ".pem";
    char *file = conf_arena_alloc(checker->arena, room);
    if (file == NULL)
        return -ENOMEM;
    (void)snprintf(file, room, "%s/%s.pem", folder, name);
    certificate->cert_file = file;
    return 0;
}

/* ---- names */

static void check_repeated(const struct acme_checker *checker, const struct position *at,
                           const struct conf_certificate *certificate)
{
    if (certificate->n_names > CONF_ACME_MAX_NAMES) {
        report_names(checker, at, "and more than 99 others, expected at most 100 names",
                     certificate->names[0]);
        return;
    }
    for (size_t i = 1; i < certificate->n_names; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(certificate->names[i], certificate->names[k]) == 0) {
                report_names(checker, at, "twice", certificate->names[i]);
                return;
            }
}

static bool has_same_names(const struct conf_certificate *a, const struct conf_certificate *b)
{
    if (a->n_names != b->n_names)
        return false;
    for (size_t i = 0; i < a->n_names; i++)
        if (strcmp(a->names[i], b->names[i]) != 0)
            return false;
    return true;
}

/* Whether an earlier certificate has the first name, but not the same names: they would have one
 * file. */
static bool clashes(const struct conf *conf, const struct position *at)
{
    const struct conf_certificate *one =
        &conf->listeners[at->listener].tls.certificates[at->certificate];
    for (size_t i = 0; i <= at->listener; i++) {
        const struct conf_tls *tls = &conf->listeners[i].tls;
        for (size_t k = 0; k < tls->n_certificates; k++) {
            const struct conf_certificate *other = &tls->certificates[k];
            if (other == one)
                return false;
            if (other->n_names > 0 && strcmp(other->names[0], one->names[0]) == 0 &&
                !has_same_names(other, one))
                return true;
        }
    }
    return false;
}

static int check_certificate(const struct acme_checker *checker, const struct position *at)
{
    struct conf_certificate *certificate =
        &checker->conf->listeners[at->listener].tls.certificates[at->certificate];
    if (certificate->n_names == 0 || certificate->names[0] == NULL)
        return 0;
    for (size_t i = 0; i < certificate->n_names; i++)
        if (certificate->names[i] == NULL)
            return 0; /* an error already */
    checker->conf->acme.is_used = true;
    check_repeated(checker, at, certificate);
    if (clashes(checker->conf, at))
        report_names(checker, at,
                     "first in two lists of names, expected the same names in both, or another "
                     "one at the front",
                     certificate->names[0]);
    return name_file(checker, certificate);
}

static int check_listeners(const struct acme_checker *checker)
{
    struct conf *conf = checker->conf;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < conf->n_listeners; i++) {
        struct conf_tls *tls = &conf->listeners[i].tls;
        rc = add_short_form(checker, tls);
        for (size_t k = 0; rc == 0 && k < tls->n_certificates; k++)
            rc = check_certificate(checker, &(struct position){i, k});
    }
    return rc;
}

/* ---- the section */

static void check_eab(const struct acme_checker *checker)
{
    const struct conf_acme *acme = &checker->conf->acme;
    const struct conf_node *eab = conf_node_get(checker->acme, "eab");
    if (!conf_node_is_set(eab))
        return;
    bool has_key = conf_node_is_set(conf_node_get(eab, "key"));
    if (has_key && acme->eab_key_file != NULL)
        conf_errors_add(checker->errors, place_in(checker, eab, "key_file"), "acme.eab.key_file",
                        "found key and key_file, expected one of them");
    else if (!has_key && acme->eab_key_file == NULL)
        conf_errors_add(checker->errors, eab->place, "acme.eab.key",
                        "missing, expected it or key_file");
}

/* One that an authority can ask: in HTTP/1.1, in the clear. */
static bool has_plain_listener(const struct conf *conf)
{
    for (size_t i = 0; i < conf->n_listeners; i++)
        if (conf->listeners[i].tls.n_certificates == 0 &&
            conf->listeners[i].http2 != CONF_HTTP2_ONLY)
            return true;
    return false;
}

static void check_section(const struct acme_checker *checker)
{
    const struct conf *conf = checker->conf;
    check_eab(checker);
    if (!conf->acme.is_used)
        return;
    if (!conf->acme.agree_to_terms) {
        bool is_said = conf_node_is_set(conf_node_get(checker->acme, "agree_to_terms"));
        report(checker, "agree_to_terms", is_said ? "found false" AGREEMENT : "missing" AGREEMENT);
    }
    if (conf->acme.challenge == CONF_ACME_HTTP_01 && !has_plain_listener(conf))
        report(checker, "challenge",
               "found http-01 without a listener that has no tls, expected one: the authority "
               "asks on port 80");
}

int conf_check_acme(struct conf *conf, const struct conf_node *root, struct conf_arena *arena,
                    struct conf_errors *errors)
{
    const struct acme_checker checker = {.conf = conf,
                                         .root = root,
                                         .acme = conf_node_get(root, "acme"),
                                         .arena = arena,
                                         .errors = errors};
    int rc = name_folder(&checker);
    if (rc == 0)
        rc = check_listeners(&checker);
    if (rc == 0)
        check_section(&checker);
    return rc;
}
