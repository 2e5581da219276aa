/*
 * The value of one field in a form (application/x-www-form-urlencoded, as the WHATWG's URL
 * standard has it) that comes in pieces. Pure; looks at no byte twice.
 *
 * Names and values are decoded: '+' is a space, %XX a byte; a '%' that no two hexadecimal digits
 * follow stands for itself. The first field of the name counts. A value is complete at the next
 * '&' or at the end of the body.
 */
#ifndef QUOIT_BALANCER_HTTP_FORM_FIELD_H
#define QUOIT_BALANCER_HTTP_FORM_FIELD_H

#include <stdbool.h>
#include <stdint.h>

#include "balancer/http/field_status.h"
#include "balancer/http/key_text.h"
#include "balancer/http/span.h"

struct form_field {
    const char *name;
    uint32_t name_n;
    uint32_t matched;    /* bytes of the name that the one being read begins with */
    uint8_t n_escape;    /* bytes of an escape so far, the '%' too */
    uint8_t first_digit; /* of the escape, as it stands */
    bool differs;        /* the name being read is another one */
    bool is_in_value;
};

/* name is decoded, and stays the caller's. */
void form_field_begin(struct form_field *field, const char *name);

/* Reads on; adds to value what it finds of the field. After FOUND not to be called. Never ABSENT:
 * only the end tells. */
enum field_status form_field_feed(struct form_field *field, struct span bytes,
                                  struct key_text *value);

/* The body has ended. */
enum field_status form_field_end(struct form_field *field, struct key_text *value);

#endif
