/*
 * MD5 (RFC 1321), for rings that other programs lay out by it; it protects nothing.
 *
 * Of our own because it runs for each request and must neither allocate nor be refused: a library's
 * asks for a context, and a security policy that forbids MD5 must not move keys.
 */
#ifndef QUOIT_HASHRING_MD5_H
#define QUOIT_HASHRING_MD5_H

#include <stddef.h>
#include <stdint.h>

/* The digest as four words, each of four bytes, least significant first. */
void md5(const void *bytes, size_t n, uint32_t ret_words[4]);

#endif
