#include "balancer/proxy/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "balancer/proxy/client.h"
#include "balancer/proxy/listener.h"
#include "balancer/proxy/worker.h"

/* An Internet address and its port; IPv4 mapped into IPv6 is IPv4. False for other families. */
static bool end_of(const struct sockaddr_storage *address, struct proxy_end *ret_end)
{
    struct proxy_end end = {0};
    if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
        const uint8_t *bytes = in6->sin6_addr.s6_addr;
        end.port = ntohs(in6->sin6_port);
        end.ip.is_v6 = !IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr);
        memcpy(end.ip.bytes, end.ip.is_v6 ? bytes : bytes + 12, end.ip.is_v6 ? 16 : 4);
    } else if (address->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)address;
        end.port = ntohs(in->sin_port);
        memcpy(end.ip.bytes, &in->sin_addr, sizeof in->sin_addr);
    } else {
        return false;
    }
    *ret_end = end;
    return true;
}

/* Whom it is from: the socket's peer, later perhaps whom that one speaks for. */
static void set_peer(struct client *client, const struct proxy_end *peer)
{
    client->port = peer->port;
    client->address_n = (uint8_t)ip_print(&peer->ip, client->address);
    client->is_trusted =
        cidr_trusts(&client->conn.worker->proxy->conf->client, client_address(client));
}

static void set_local(struct client *client, const struct proxy_end *local)
{
    uint16_t port = local->port;
    size_t at = sizeof client->local_port;
    client->local = *local;
    do {
        client->local_port[--at] = (char)('0' + port % 10);
        port = (uint16_t)(port / 10);
    } while (port > 0);
    client->local_port_n = (uint8_t)(sizeof client->local_port - at);
    memmove(client->local_port, client->local_port + at, client->local_port_n);
}

void peer_init(struct client *client, const struct listener *listener,
               const struct sockaddr_storage *address)
{
    struct proxy_end peer = {0};
    (void)end_of(address, &peer);
    client->listener = &client->conn.worker->proxy->conf->listeners[listener->index];
    client->awaits_proxy = listener->expects_proxy;
    client->awaits_tls = client->listener->tls.n_certificates > 0;
    set_local(client, &(struct proxy_end){.port = listener->port});
    set_peer(client, &peer);
}

enum proxy_status peer_read_header(struct client *client)
{
    struct conn *conn = &client->conn;
    struct proxy_header header;
    enum proxy_status status =
        proxy_header_parse(buffer_bytes(&conn->in), buffer_used(&conn->in), &header);
    if (status != PROXY_DONE)
        return status;
    buffer_consume(&conn->in, &conn->worker->buffers, (uint32_t)header.n);
    client->awaits_proxy = false;
    if (header.has_ends) {
        client->is_proxied = true;
        set_local(client, &header.destination);
        set_peer(client, &header.source);
    }
    return status;
}

void peer_ends(const struct client *client, struct proxy_header *ret_header)
{
    struct proxy_header header = {.destination = client->local};
    struct sockaddr_storage local = {0};
    socklen_t n = sizeof local;
    header.source.port = client->port;
    header.has_ends = ip_parse(client_address(client), &header.source.ip);
    if (!client->is_proxied)
        header.has_ends = header.has_ends &&
                          getsockname(client->conn.fd, (struct sockaddr *)&local, &n) == 0 &&
                          end_of(&local, &header.destination);
    *ret_header = header;
}
