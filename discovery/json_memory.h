/*
 * jansson 2.14 does not survive a lack of memory: its lexer ignores that a buffer could not grow,
 * then reads and writes behind it. So it is never told: the program ends instead.
 */
#ifndef QUOIT_DISCOVERY_JSON_MEMORY_H
#define QUOIT_DISCOVERY_JSON_MEMORY_H

/* Has jansson abort where malloc() fails, for the whole program; what jansson allocated before may
 * still be freed. Idempotent. The first call must come before other threads use jansson. */
void json_memory_abort_when_out(void);

#endif
