/*
 * libcurl's multi interface driven by a libev loop.
 *
 * One curl_loop belongs to one ev_loop and to the thread that runs it; nothing here is locked.
 * The caller owns its easy handles: it sets them up, embeds a struct curl_transfer where it keeps
 * its request, and frees the easy handle only while the transfer is not running.
 *
 * Follows curl.se/libcurl/c/libcurl-multi.html, "multi_socket".
 */
#ifndef QUOIT_DISCOVERY_CURL_LOOP_H
#define QUOIT_DISCOVERY_CURL_LOOP_H

#include <curl/curl.h>
#include <ev.h>
#include <stdbool.h>

struct curl_loop;
struct curl_transfer;

/*
 * A transfer ended, with libcurl's verdict. It is no longer running: here the easy handle may be
 * read (curl_easy_getinfo), started again or freed, and other transfers started or stopped.
 * The curl_loop itself may not be freed here.
 */
typedef void curl_done_fn(struct curl_transfer *transfer, CURLcode result);

/*
 * One request. The caller sets easy and done before starting, and context to whatever helps it;
 * running is for reading only.
 */
struct curl_transfer {
    CURL *easy;
    curl_done_fn *done;
    void *context;
    bool running;
};

/* Returns 0 or -ENOMEM. The caller calls curl_global_init() first, once per program. */
int curl_loop_new(struct ev_loop *loop, struct curl_loop **ret_loop);

/* Closes the idle connections. No transfer may be running. Accepts NULL. */
void curl_loop_free(struct curl_loop *loop);

/* At most so many connections stay open for reuse, and so many are open at once; 0: no limit. */
void curl_loop_limit(struct curl_loop *loop, long max_idle, long max_open);

/*
 * Starts a transfer that is not running; the struct and its handle must stay until it ends. Sets
 * CURLOPT_PRIVATE and CURLOPT_NOSIGNAL of the handle. done() is never called before this returns,
 * and exactly once unless the transfer is stopped first. Returns 0 or -ENOMEM, then without done().
 */
int curl_loop_start(struct curl_loop *loop, struct curl_transfer *transfer);

/* Ends a transfer without done(); does nothing to one that is not running. */
void curl_loop_stop(struct curl_loop *loop, struct curl_transfer *transfer);

#endif
