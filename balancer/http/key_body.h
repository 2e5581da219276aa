/*
 * The fields of a request's body that a key is made of, found while the body comes in.
 *
 * A field of a JSON document is looked for in bodies of type application/json or …+json, one of a
 * form in application/x-www-form-urlencoded; in a body of another type, or with a content coding,
 * it is absent at once.
 */
#ifndef QUOIT_BALANCER_HTTP_KEY_BODY_H
#define QUOIT_BALANCER_HTTP_KEY_BODY_H

#include "balancer/http/form_field.h"
#include "balancer/http/h1.h"
#include "balancer/http/json_field.h"
#include "conf/conf.h"

/* A longer value is folded: see key_text.h. */
#define KEY_VALUE_BYTES 256

struct key_body_field {
    bool is_json, is_required;
    enum field_status status;
    union {
        struct json_field json;
        struct form_field form;
    };
    struct key_text text;
    struct span value; /* once it is found; into room */
    uint8_t room[KEY_VALUE_BYTES];
};

struct key_body {
    uint32_t n;
    struct key_body_field fields[CONF_KEY_MAX_BODY_FIELDS]; /* as the key's parts */
};

/* Begins to look for key's fields in the body of this complete head; message is its first byte. */
void key_body_begin(struct key_body *body, const struct conf_key *key,
                    const struct h1_request *request, const uint8_t *message);

/* Whether more of the body may change the key. */
bool key_body_waits(const struct key_body *body);

/* The next bytes of the content. */
void key_body_feed(struct key_body *body, struct span bytes);

/* The content has ended. */
void key_body_end(struct key_body *body);

/* No more will be looked at: what is not complete is absent. */
void key_body_give_up(struct key_body *body);

/* The value of the key's field number i; empty if it is absent. Lives as long as body. */
struct span key_body_value(const struct key_body *body, uint32_t i);

#endif
