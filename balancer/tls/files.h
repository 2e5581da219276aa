/*
 * Whether files have changed, and whether authorities can be read from one.
 */
#ifndef QUOIT_BALANCER_TLS_FILES_H
#define QUOIT_BALANCER_TLS_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "balancer/tls/report.h"

/* What files look like now, by a system call each: unlike as soon as one is written anew, replaced,
 * made or removed. Begins as any number; file may be NULL. */
void files_look(uint64_t *stamp, const char *file);

/* Whether there are certificates of authorities in file; else report is told why, about key. */
bool files_have_authorities(const char *file, const char *key, const struct tls_report *report);

#endif
