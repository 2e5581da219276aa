/*
 * Whether files have changed.
 */
#ifndef QUOIT_BALANCER_TLS_FILES_H
#define QUOIT_BALANCER_TLS_FILES_H

#include <stdint.h>

/* What files look like now, by a system call each: unlike as soon as one is written anew, replaced,
 * made or removed. Begins as any number; file may be NULL. */
void files_look(uint64_t *stamp, const char *file);

#endif
