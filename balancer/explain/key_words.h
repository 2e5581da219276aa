/*
 * Where a key comes from, in the words of the configuration: "query:id", "{host}{path:2|lower}".
 */
#ifndef QUOIT_BALANCER_EXPLAIN_KEY_WORDS_H
#define QUOIT_BALANCER_EXPLAIN_KEY_WORDS_H

#include "conf/conf.h"

/* The caller frees the text; NULL when memory is out. */
char *key_words(const struct conf_key *key);

#endif
