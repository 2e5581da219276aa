#include "balancer/proxy/client_tls.h"

#include "balancer/log/log.h"
#include "balancer/proxy/client.h"
#include "balancer/proxy/worker.h"
#include "balancer/tls/inbound.h"

static struct inbound *inbound_of(const struct client *client)
{
    const struct proxy *proxy = client->conn.worker->proxy;
    return proxy->inbound[client->listener - proxy->conf->listeners];
}

bool client_tls_begin(struct client *client)
{
    struct inbound_set *set;
    SSL *session = inbound_open(inbound_of(client), &set);
    if (session == NULL) {
        client_close(client, REASON_MEMORY_LIMIT);
        return false;
    }
    transport_start_tls(&client->conn, session, set);
    conn_set_deadline(&client->conn, client->listener->tls.handshake_ms, REASON_TLS_TIMEOUT);
    return true;
}

static void say_failed(const struct client *client, enum reason reason, const char *text)
{
    struct tls_facts facts;
    tls_facts(&client->conn, &facts);
    log_event(LOG_DEBUG, "tls_handshake_failed", LOG_STR("client", client->address),
              LOG_STR("reason", reason_word(reason)), LOG_STR("name", facts.name),
              LOG_STR("error", text));
}

static void be_secure(struct client *client)
{
    struct worker *worker = client->conn.worker;
    struct tls_facts facts;
    tls_facts(&client->conn, &facts);
    counter_add(facts.is_resumed ? &worker->stats.tls_resumed : &worker->stats.tls_full, 1);
    client->awaits_tls = false;
    client->is_secure = true;
    conn_set_deadline(&client->conn, worker->proxy->conf->client.header_timeout_ms,
                      REASON_CLIENT_IDLE);
}

/* A person looking for a mistake is told; others have never asked for HTTP here. */
static void answer_http(const struct client *client)
{
    const struct span answer = SPAN("HTTP/1.1 400 Bad Request\r\n"
                                    "Server: quoit\r\n"
                                    "Content-Type: text/plain\r\n"
                                    "Content-Length: 40\r\n"
                                    "Connection: close\r\n"
                                    "\r\n"
                                    "400 Bad Request: this port speaks HTTPS\n");
    if (tls_heard_http(&client->conn))
        tls_answer_plainly(&client->conn, answer);
}

bool client_tls_go_on(struct client *client)
{
    const char *text;
    enum reason reason;
    switch (tls_progress(&client->conn)) {
    case TLS_READY:
        be_secure(client);
        return true;
    case TLS_FAILED:
        reason = tls_failure(&client->conn, &text);
        say_failed(client, reason, text);
        answer_http(client);
        client_refuse(client, reason);
        return false;
    case TLS_UNHEARD: /* who closes without a word looks whether we are alive */
        client_close(client, REASON_CLIENT_GONE);
        return false;
    default:
        return false;
    }
}
