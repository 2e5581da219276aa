/*
 * The hash key of a request: which of its bytes decide where it goes.
 */
#ifndef QUOIT_BALANCER_HTTP_KEY_H
#define QUOIT_BALANCER_HTTP_KEY_H

#include "balancer/http/h1.h"
#include "balancer/http/key_body.h"
#include "conf/conf.h"

/* What a key is taken from. */
struct key_input {
    const struct h1_request *request; /* complete */
    const uint8_t *message;           /* its first byte */
    struct span peer;                 /* the address of who has connected */
    const struct conf_client *trust;  /* whose word is believed; NULL: nobody's */
    const struct key_body *body;      /* this key's fields of the body; NULL: none were found */
};

/* Where keys are built; a longer one is folded: see key_text.h. */
#define KEY_ROOM_BYTES 2048

struct key_room {
    uint8_t bytes[KEY_ROOM_BYTES];
};

/*
 * Takes the key out of a request; false if the request has none (an empty one counts as none), or
 * if the source is CONF_KEY_NONE.
 *
 *   path      without the query; "/" for an absolute target without one. Its first N segments end
 *             before the slash behind them: "/a/b" of "/a/b/c"
 *   uri       path and query as they came
 *   arguments the whole query
 *   query     the first argument of this name: `a=1&b=2`, compared byte by byte, nothing decoded
 *   header    the first field of this name, in any case; Host is what the request's target names,
 *             if it does
 *   cookie    the first pair of this name in all Cookie fields (RFC 6265 section 4.2.1), compared
 *             byte by byte; quotes are part of the value
 *   host      what the target or the Host field names, in lower case, without port
 *   method    as it came
 *   client    peer, or the first bits of it and zeros
 *   forwarded the same of the client that cidr_find_client() finds
 *   json, form  from the body: see json_field.h and form_field.h
 *
 * Sorted arguments are in the order of their names, those of one name in the order they came in,
 * without empty ones; behind the first 256 the others follow as they came. A template lacks its
 * key when one of its named parts (query, header, cookie, json, form) is empty and not optional,
 * or when all of its parts but the text are.
 *
 * *ret_key points into the message, at peer.p, into body, at a constant, or into room, which only a
 * key that must be built touches.
 */
bool key_extract(const struct conf_key *key, const struct key_input *input, struct key_room *room,
                 struct span *ret_key);

#endif
