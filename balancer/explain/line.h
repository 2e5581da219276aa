/*
 * One pick explained in one line, for the response header of a request that asked. Pure; the data
 * path calls it for such requests only.
 */
#ifndef QUOIT_BALANCER_EXPLAIN_LINE_H
#define QUOIT_BALANCER_EXPLAIN_LINE_H

#include <stddef.h>

#include "balancer/policy/policy.h"

#define EXPLAIN_LINE_CANDIDATES 8 /* that are named, at most */
#define EXPLAIN_LINE_SIZE 1536    /* room for the longest line and its NUL */

/*
 * Writes, for a pick that was made with a trace, what it chose (NULL: nobody):
 *
 *     pool="images"; key="/a"; hash=8c3f…; slot=4711/65536; snapshot=12; way=overflow;
 *     choice="10.0.0.2:80"; candidates="10.0.0.1:80 over_bound(12/10.5), 10.0.0.2:80 chosen"
 *
 * in one line of printable ASCII, everything else in it escaped (bytes.h) and long texts cut.
 * Behind an unusable candidate stands its state, behind one over its bound its requests in flight
 * and its limit. way is the word for it, or NULL for the trace's. Returns the length.
 */
size_t explain_line(const struct pick *pick, struct span key, const struct endpoint *choice,
                    const char *way, char ret_line[EXPLAIN_LINE_SIZE]);

#endif
