/*
 * Where nghttp2 has its memory from.
 *
 * Each session has a buffer for the largest frame, of which most connections never use more than
 * the beginning. It is given out as pages of its own that are not there before they are written to:
 * memory from the heap would be all there, since the sessions of TLS have used it in handshakes.
 */
#ifndef QUOIT_BALANCER_PROXY_H2_MEMORY_H
#define QUOIT_BALANCER_PROXY_H2_MEMORY_H

#include <nghttp2/nghttp2.h>

nghttp2_mem *h2_memory(void);

#endif
