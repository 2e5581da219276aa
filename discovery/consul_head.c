#include "discovery/consul_head.h"

#include <string.h>
#include <strings.h>

const char *const consul_head_fields[CONSUL_N_FIELDS] = {
    [CONSUL_FIELD_INDEX] = "X-Consul-Index",
    [CONSUL_FIELD_KNOWN_LEADER] = "X-Consul-KnownLeader",
    [CONSUL_FIELD_LAST_CONTACT] = "X-Consul-LastContact",
    [CONSUL_FIELD_FILTERED] = "X-Consul-Results-Filtered-By-ACLs",
    [CONSUL_FIELD_DEFAULT_POLICY] = "X-Consul-Default-ACL-Policy",
};

/* Digits only; 0 for anything else, and for what does not fit. */
static uint64_t read_number(const char *text)
{
    uint64_t number = 0;
    if (text == NULL || text[0] == '\0')
        return 0;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return 0;
        unsigned digit = (unsigned)(*text - '0');
        if (number > (UINT64_MAX - digit) / 10)
            return 0;
        number = number * 10 + digit;
    }
    return number;
}

static bool says(const char *text, const char *word)
{
    return text != NULL && strcasecmp(text, word) == 0;
}

void consul_head_read(const char *const values[CONSUL_N_FIELDS], struct consul_head *ret_head)
{
    *ret_head = (struct consul_head){
        .index = read_number(values[CONSUL_FIELD_INDEX]),
        .says_leader = says(values[CONSUL_FIELD_KNOWN_LEADER], "true"),
        .says_no_leader = says(values[CONSUL_FIELD_KNOWN_LEADER], "false"),
        .may_hide_if_anonymous = says(values[CONSUL_FIELD_DEFAULT_POLICY], "deny"),
        .filtered = says(values[CONSUL_FIELD_FILTERED], "true"),
        .last_contact_ms = read_number(values[CONSUL_FIELD_LAST_CONTACT]),
    };
}

uint64_t consul_index_next(uint64_t previous, uint64_t answered)
{
    if (answered < previous)
        return 0;
    return answered > 0 ? answered : 1;
}
