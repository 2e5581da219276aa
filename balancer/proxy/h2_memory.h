/*
 * Where nghttp2 has its memory from, one worker's.
 *
 * Small pieces, of which each stream takes and gives back a dozen, come from free lists by size.
 * Each session has a buffer for the largest frame, of which most connections never use more than
 * the beginning. It is given out as pages of its own that are not there before they are written to:
 * memory from the heap would be all there, since the sessions of TLS have used it in handshakes.
 */
#ifndef QUOIT_BALANCER_PROXY_H2_MEMORY_H
#define QUOIT_BALANCER_PROXY_H2_MEMORY_H

#include <nghttp2/nghttp2.h>

#include "balancer/proxy/slab.h"

#define H2_MEMORY_SIZES 4

struct h2_memory {
    nghttp2_mem calls;
    struct slab pieces[H2_MEMORY_SIZES];
};

/* memory stays where it is. */
void h2_memory_init(struct h2_memory *memory);

/* All that was given out must be back. */
void h2_memory_fini(struct h2_memory *memory);

#endif
