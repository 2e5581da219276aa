/*
 * The value of one field in a JSON document (RFC 8259) that comes in pieces and may never come
 * whole. Pure; looks at no byte twice; needs no memory but its own struct and the value's text.
 *
 * A path is names of members and numbers of elements with a dot between: "user.id",
 * "items.0.sku". Names are compared as decoded, byte by byte. The first member of a name counts. A
 * string is its text in UTF-8 with escapes resolved; a number, true and false are what they look
 * like ("1.0" is not "1"); null, objects and arrays are no value.
 *
 * What was read is strictly JSON or the field is absent; what follows the field is not looked at.
 * So is a field below more than 64 containers.
 */
#ifndef QUOIT_BALANCER_HTTP_JSON_FIELD_H
#define QUOIT_BALANCER_HTTP_JSON_FIELD_H

#include <stdbool.h>
#include <stdint.h>

#include "balancer/http/field_status.h"
#include "balancer/http/key_text.h"
#include "balancer/http/span.h"

struct json_field {
    const char *segment; /* the path's part that is looked for in the innermost open container on
                            the path, and all behind it; "" once the field itself is next */
    const char *literal; /* what must follow of true, false or null */
    uint64_t arrays;     /* bit i: the open container i is an array, else an object */
    uint32_t segment_n;  /* bytes of the segment */
    uint32_t index;      /* the segment as an element's number; UINT32_MAX: it is none */
    uint32_t element;    /* of the array on the path: the number of the one being read */
    uint32_t matched;    /* bytes of the segment that the name being read begins with */
    uint32_t code;       /* of a \u escape being read */
    uint32_t high;       /* the first half of a surrogate pair; 0: none */
    uint8_t depth;       /* containers open */
    uint8_t path_depth;  /* of them on the path */
    uint8_t state;
    uint8_t part;    /* of a number or an escape: where in it we are */
    bool is_on_path; /* the value being read or next is */
    bool differs;    /* the name being read is another one */
};

/* path is not empty, has no empty part, and stays the caller's. */
void json_field_begin(struct json_field *field, const char *path);

/* Reads on; adds to value what it finds of the field. After FOUND or ABSENT not to be called. */
enum field_status json_field_feed(struct json_field *field, struct span bytes,
                                  struct key_text *value);

#endif
