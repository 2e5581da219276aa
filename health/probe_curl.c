#include "health/probe_curl.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_BODY_BYTES = 65536, MAX_HEAD_BYTES = 65536 };

static struct probe *probe_of(struct curl_transfer *transfer)
{
    return (struct probe *)(void *)((char *)transfer - offsetof(struct probe, transfer));
}

static void free_probe(struct probe *probe)
{
    ev_timer_stop(probe->host.loop, &probe->deadline);
    curl_easy_cleanup(probe->transfer.easy);
    curl_slist_free_all(probe->fields);
    curl_slist_free_all(probe->way);
    free(probe);
}

void probe_curl_stop(struct probe *probe)
{
    curl_loop_stop(probe->host.curl, &probe->transfer);
    free_probe(probe);
}

enum probe_outcome probe_curl_judge_error(const struct probe *probe, CURLcode result, char *detail,
                                          size_t size)
{
    long os_error = 0;
    curl_easy_getinfo(probe->transfer.easy, CURLINFO_OS_ERRNO, &os_error);
    const char *why = probe->error[0] != '\0' ? probe->error : curl_easy_strerror(result);
    if (result == CURLE_OPERATION_TIMEDOUT)
        why = "timeout";
    else if (result == CURLE_COULDNT_CONNECT && os_error == ECONNREFUSED)
        why = "connect refused";
    else if (result == CURLE_GOT_NOTHING)
        why = "closed without an answer";
    else if (probe->head_n > MAX_HEAD_BYTES)
        why = "head too large";
    else if (result == CURLE_OK)
        why = "no final status";
    snprintf(detail, size, "%s", why);
    /* An address in digits does not resolve only when memory is out. */
    bool is_ours = result == CURLE_OUT_OF_MEMORY || result == CURLE_COULDNT_RESOLVE_HOST ||
                   probe_is_our_fault(probe->socket_error) ||
                   (result == CURLE_COULDNT_CONNECT && probe_is_our_fault((int)os_error));
    return is_ours ? PROBE_UNKNOWN : PROBE_FAILURE;
}

static void finish(struct probe *probe, CURLcode result)
{
    probe_done_fn *done = probe->done;
    void *context = probe->context;
    char detail[CURL_ERROR_SIZE];
    enum probe_outcome outcome = probe->status != 0
                                     ? probe->kind->judge(probe, result, detail, sizeof detail)
                                     : probe_curl_judge_error(probe, result, detail, sizeof detail);
    probe_curl_stop(probe);
    done(context, outcome, detail);
}

static void on_done(struct curl_transfer *transfer, CURLcode result)
{
    finish(probe_of(transfer), result);
}

/* A timer of our own: libcurl's may get lost when memory is out, and the target with it. */
static void on_deadline(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    finish(timer->data, CURLE_OPERATION_TIMEDOUT);
}

/* One line of a head; the empty one ends it. Heads of 1xx answers come before the one that counts.
 * Returning less than was given ends the transfer. */
static size_t on_head(char *line, size_t size, size_t n, void *context)
{
    struct probe *probe = context;
    long status = 0;
    n *= size;
    probe->head_n += n;
    if (probe->head_n > MAX_HEAD_BYTES)
        return 0;
    if (probe->kind->on_line != NULL)
        probe->kind->on_line(probe, line, n);
    if (line[0] != '\r' && line[0] != '\n')
        return n;
    curl_easy_getinfo(probe->transfer.easy, CURLINFO_RESPONSE_CODE, &status);
    if (status >= 200)
        probe->status = status;
    return n;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *context)
{
    struct probe *probe = context;
    n *= size;
    probe->body_n += n;
    if (probe->kind->on_body != NULL)
        probe->kind->on_body(probe, bytes, n);
    return probe->body_n > MAX_BODY_BYTES ? 0 : n;
}

/* Makes the socket itself to learn why there is none. */
static curl_socket_t on_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct probe *probe = context;
    (void)purpose;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd >= 0)
        return fd;
    probe->socket_error = errno;
    return CURL_SOCKET_BAD;
}

/* The endpoint's address in digits, its port, and the zone of an IPv6 link-local address. */
static void put_address(const struct probe_target *target, char *text_port, size_t size,
                        long *ret_scope)
{
    char text[INET6_ADDRSTRLEN] = "";
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&target->address;
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&target->address;
    if (target->address.ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
        snprintf(text_port, size, "[%s]:%u", text, ntohs(v6->sin6_port));
        *ret_scope = (long)v6->sin6_scope_id;
    } else {
        inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
        snprintf(text_port, size, "%s:%u", text, ntohs(v4->sin_port));
        *ret_scope = 0;
    }
}

int probe_curl_add_field(struct probe *probe, const char *name, const char *value)
{
    char *field;
    if (value == NULL)
        return 0;
    if (asprintf(&field, "%s: %s", name, value) < 0)
        return -ENOMEM;
    struct curl_slist *fields = curl_slist_append(probe->fields, field);
    free(field);
    if (fields == NULL)
        return -ENOMEM;
    probe->fields = fields;
    return 0;
}

/* Counts what failed: each setting may be out of memory. */
#define SET(option, value) n_failed += curl_easy_setopt(easy, (option), (value)) != CURLE_OK

/* A name in the URL is the one to ask for and to find in the certificate; it is connected to the
 * address whatever it says. */
static int set_url(struct probe *probe, const struct probe_target *target)
{
    CURL *easy = probe->transfer.easy;
    const struct conf_check *check = target->check;
    bool has_name = check->tls != NULL && check->tls_name[0] != '\0';
    char address[INET6_ADDRSTRLEN + 16], url[sizeof check->tls_name + 64];
    char way[sizeof address + 8];
    long scope;
    int n_failed = 0;
    put_address(target, address, sizeof address, &scope);
    snprintf(url, sizeof url, "%s://%s%s/", check->tls != NULL ? "https" : "http",
             has_name ? check->tls_name : address, has_name ? strrchr(address, ':') : "");
    snprintf(way, sizeof way, "::%s", address);
    if (has_name) {
        probe->way = curl_slist_append(NULL, way);
        n_failed += probe->way == NULL;
        SET(CURLOPT_CONNECT_TO, probe->way);
    }
    SET(CURLOPT_URL, url);
    SET(CURLOPT_ADDRESS_SCOPE, scope);
    return n_failed == 0 ? 0 : -ENOMEM;
}

static int set_tls(struct probe *probe)
{
    CURL *easy = probe->transfer.easy;
    const struct conf_pool_tls *tls = probe->check->tls;
    int n_failed = 0;
    if (tls == NULL)
        return 0;
    SET(CURLOPT_SSL_VERIFYPEER, tls->verify ? 1L : 0L);
    SET(CURLOPT_SSL_VERIFYHOST, tls->verify ? 2L : 0L);
    SET(CURLOPT_SSLVERSION, tls->min_version == CONF_TLS_1_3 ? (long)CURL_SSLVERSION_TLSv1_3
                                                             : (long)CURL_SSLVERSION_TLSv1_2);
    if (tls->ca_file != NULL)
        SET(CURLOPT_CAINFO, tls->ca_file);
    if (tls->cert_file != NULL) {
        SET(CURLOPT_SSLCERT, tls->cert_file);
        SET(CURLOPT_SSLKEY, tls->key_file != NULL ? tls->key_file : tls->cert_file);
    }
    return n_failed == 0 ? 0 : -ENOMEM;
}

static int set_connection(struct probe *probe, const struct probe_target *target)
{
    CURL *easy = probe->transfer.easy;
    int n_failed = set_url(probe, target) != 0;
    n_failed += set_tls(probe) != 0;
    SET(CURLOPT_PROXY, ""); /* not the environment's either */
    SET(CURLOPT_HAPROXYPROTOCOL, target->check->sends_proxy ? 1L : 0L);
    SET(CURLOPT_FRESH_CONNECT, 1L);
    SET(CURLOPT_FORBID_REUSE, 1L);
    return n_failed == 0 ? 0 : -ENOMEM;
}

static int set_callbacks(struct probe *probe)
{
    CURL *easy = probe->transfer.easy;
    int n_failed = 0;
    SET(CURLOPT_HEADERFUNCTION, on_head);
    SET(CURLOPT_HEADERDATA, probe);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, probe);
    SET(CURLOPT_OPENSOCKETFUNCTION, on_socket);
    SET(CURLOPT_OPENSOCKETDATA, probe);
    SET(CURLOPT_ERRORBUFFER, probe->error);
    return n_failed == 0 ? 0 : -ENOMEM;
}

#undef SET

static int begin(struct probe *probe, const struct probe_target *target)
{
    probe->transfer.easy = curl_easy_init();
    if (probe->transfer.easy == NULL)
        return -ENOMEM;
    int error = set_connection(probe, target);
    if (error == 0)
        error = set_callbacks(probe);
    if (error == 0)
        error = probe->kind->set_request(probe);
    if (error == 0)
        error = curl_loop_start(probe->host.curl, &probe->transfer);
    if (error == 0)
        ev_timer_start(probe->host.loop, &probe->deadline);
    return error;
}

int probe_curl_start(const struct probe_curl_kind *kind, const struct probe_host *host,
                     const struct probe_target *target, probe_done_fn *done, void *context,
                     struct probe **ret_probe)
{
    struct probe *probe = calloc(1, kind->size);
    if (probe == NULL)
        return -ENOMEM;
    probe->kind = kind;
    probe->host = *host;
    probe->check = target->check;
    probe->transfer.done = on_done;
    probe->done = done;
    probe->context = context;
    ev_timer_init(&probe->deadline, on_deadline, target->check->timeout_ms / 1e3, 0);
    probe->deadline.data = probe;
    int error = begin(probe, target);
    if (error != 0) {
        free_probe(probe);
        return error;
    }
    *ret_probe = probe;
    return 0;
}
