#include "balancer/http/websocket.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#define KEY_BYTES 24
#define ACCEPT_BYTES 28

static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/* The value of the only field of this name; false: there is none, or there are several. */
static bool only_value(const struct h1_lines *lines, const uint8_t *message, struct span name,
                       struct span *ret_value)
{
    const struct h1_field *found = NULL;
    for (uint32_t i = 0; i < lines->n_fields; i++) {
        if (!span_equal_nocase(h1_field_name(&lines->fields[i], message), name))
            continue;
        if (found != NULL)
            return false;
        found = &lines->fields[i];
    }
    if (found == NULL)
        return false;
    *ret_value = h1_field_value(found, message);
    return true;
}

bool websocket_is_accepted(const struct h1_lines *request, const uint8_t *request_message,
                           const struct h1_lines *response, const uint8_t *response_message)
{
    struct span key, accept;
    uint8_t text[KEY_BYTES + sizeof guid - 1], digest[SHA_DIGEST_LENGTH];
    uint8_t expected[ACCEPT_BYTES + 1]; /* with a NUL behind */
    if (!only_value(request, request_message, SPAN("Sec-WebSocket-Key"), &key) ||
        !only_value(response, response_message, SPAN("Sec-WebSocket-Accept"), &accept) ||
        key.n != KEY_BYTES)
        return false;
    memcpy(text, key.p, KEY_BYTES);
    memcpy(text + KEY_BYTES, guid, sizeof guid - 1);
    (void)SHA1(text, sizeof text, digest);
    (void)EVP_EncodeBlock(expected, digest, sizeof digest);
    return span_equal(accept, (struct span){expected, ACCEPT_BYTES});
}
