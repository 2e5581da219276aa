/*
 * Bytes that anybody may have chosen (keys, targets, identities), made fit for reading. Pure.
 */
#ifndef QUOIT_BALANCER_EXPLAIN_BYTES_H
#define QUOIT_BALANCER_EXPLAIN_BYTES_H

#include <jansson.h>

#include "balancer/http/span.h"

/*
 * Writes at most size - 1 characters of printable ASCII and a NUL: quote, backslash and whatever is
 * not printable ASCII as \xHH. Text that does not fit ends in "..." (size is at least 4). Returns
 * its length.
 */
size_t bytes_print(struct span bytes, char *to, size_t size);

/*
 * The bytes as they are where they are UTF-8, else with every byte beyond ASCII, the backslash and
 * control characters as \xHH; *ret_is_exact (or NULL) says which.
 */
json_t *bytes_to_json(struct span bytes, bool *ret_is_exact);

/* Lower-case hexadecimal digits. */
json_t *bytes_to_hex(struct span bytes);

/* Sixteen digits. */
json_t *hash_to_json(uint64_t hash);

#endif
