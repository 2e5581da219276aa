/*
 * What an answer's header fields say: the index, and how far the answer can be trusted. Pure.
 */
#ifndef QUOIT_DISCOVERY_CONSUL_HEAD_H
#define QUOIT_DISCOVERY_CONSUL_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The fields read, in the order of consul_head_fields. */
enum consul_field {
    CONSUL_FIELD_INDEX,
    CONSUL_FIELD_KNOWN_LEADER,
    CONSUL_FIELD_LAST_CONTACT,
    CONSUL_FIELD_FILTERED,
    CONSUL_FIELD_DEFAULT_POLICY,
    CONSUL_N_FIELDS,
};

extern const char *const consul_head_fields[CONSUL_N_FIELDS];

/* A field that Consul left out (streaming does) proves nothing: neither a leader nor its loss. */
struct consul_head {
    uint64_t index; /* 0: missing or not a number */
    bool says_leader;
    bool says_no_leader;
    bool may_hide_if_anonymous; /* ACLs deny by default, and filter without a word */
    bool filtered;              /* Consul says that ACLs hid instances */
    uint64_t last_contact_ms;   /* of the server that answered with the leader */
};

/* values[i] is the value of field i, or NULL where the answer has none. */
void consul_head_read(const char *const values[CONSUL_N_FIELDS], struct consul_head *ret_head);

/*
 * The index for the next blocking query, after a good answer to a query with index previous (0:
 * none): 0, that is start over, when it went backwards; never 0 otherwise, as a server takes 0 for
 * "do not block" and a loop over it would spin.
 */
uint64_t consul_index_next(uint64_t previous, uint64_t answered);

#endif
