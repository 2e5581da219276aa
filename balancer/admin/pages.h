/*
 * What the admin listener answers: from a method and a path to a whole response. No sockets.
 */
#ifndef QUOIT_BALANCER_ADMIN_PAGES_H
#define QUOIT_BALANCER_ADMIN_PAGES_H

#include "balancer/admin/admin.h"
#include "balancer/http/h1.h"

enum page_connection { PAGE_KEEP_ALIVE, PAGE_CLOSE };

/* A response as it goes over the wire; the caller frees bytes. */
struct page_response {
    char *bytes;
    size_t n;
};

/* What is asked for. */
struct page_request {
    enum h1_method method;
    struct span path, query;
    enum page_connection connection; /* what becomes of it after the answer */
};

/* Answers a request. Returns 0 or -ENOMEM. */
int page_answer(const struct admin_source *source, const struct page_request *request,
                struct page_response *ret_response);

/* Answers what could not be read: the reason's status, Connection: close. */
int page_refuse(enum reason reason, struct page_response *ret_response);

#endif
