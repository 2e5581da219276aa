/*
 * Keys as an operator writes them, and requests to take them from.
 */
#ifndef QUOIT_TESTS_KEY_SUPPORT_H
#define QUOIT_TESTS_KEY_SUPPORT_H

#include <stdio.h>

#include "balancer/http/key.h"
#include "conf/arena.h"
#include "conf/option.h"

/* The key of this text, which must be one; its memory is the arena's. */
static inline struct conf_key key_of_text(const char *text, struct conf_arena *arena)
{
    struct conf_key key;
    assert_int_equal(conf_type_key.parse(NULL, text, &key, arena), 0);
    return key;
}

struct key_message {
    char text[8192];
    const uint8_t *bytes;
    struct h1_request request;
    struct h1_field fields[H1_MAX_FIELDS];
};

/* A request with this line up to the target and these field lines. */
static inline void key_message_init(struct key_message *message, const char *start,
                                    const char *fields)
{
    static const struct h1_limits limits = {.head_bytes = 8192, .target_bytes = 8000, .fields = 50};
    int n = snprintf(message->text, sizeof message->text, "%s HTTP/1.1\r\n%s\r\n", start, fields);
    assert_in_range(n, 1, sizeof message->text - 1);
    message->bytes = (const uint8_t *)message->text;
    h1_request_init(&message->request, message->fields);
    assert_int_equal(
        h1_request_parse(&message->request, &limits, message->bytes, strlen(message->text)),
        H1_DONE);
}

#endif
