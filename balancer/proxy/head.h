/*
 * Writing message heads into a connection's out buffer.
 */
#ifndef QUOIT_BALANCER_PROXY_HEAD_H
#define QUOIT_BALANCER_PROXY_HEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "balancer/http/h1.h"
#include "balancer/http/span.h"

struct conn;

/* A head being written; nothing is staged unless all of it fits. */
struct head {
    struct conn *conn;
    uint8_t *begin, *at, *end;
    bool overflowed;
};

void head_begin(struct head *head, struct conn *conn);

static inline void head_add(struct head *head, struct span bytes)
{
    if (bytes.n > (size_t)(head->end - head->at)) {
        head->overflowed = true;
        return;
    }
    memcpy(head->at, bytes.p, bytes.n);
    head->at += bytes.n;
}

void head_add_u64(struct head *head, uint64_t value);

/* "Name: value\r\n". */
void head_add_field(struct head *head, struct span name, struct span value);

/* The fields of lines that are not hop by hop, in order and in their own spelling. */
void head_add_fields(struct head *head, const struct h1_lines *lines, const uint8_t *message);

/* The fields from index `from` up to (not including) `to`, hop-by-hop ones left out. */
void head_add_some(struct head *head, const struct h1_lines *lines, const uint8_t *message,
                   uint32_t from, uint32_t to);

/* Stages what was written; false (and nothing staged) when it did not fit. */
bool head_end(struct head *head);

#endif
