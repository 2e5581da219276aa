/*
 * What the probes that libcurl makes have in common: a transfer on a connection of its own, for a
 * probe is to find out whether the target still accepts some; its deadline, its bounds, and what
 * its failures mean. What is asked and how the answer is judged is the kind's.
 */
#ifndef QUOIT_HEALTH_PROBE_CURL_H
#define QUOIT_HEALTH_PROBE_CURL_H

#include "health/probe.h"

/* Visible to the kinds, whose own struct begins with it. */
struct probe {
    const struct probe_curl_kind *kind;
    struct curl_transfer transfer;
    struct probe_host host;
    struct ev_timer deadline;
    const struct conf_check *check;
    struct curl_slist *fields;
    struct curl_slist *way; /* past the name in the URL to the address; NULL: there is no name */
    size_t head_n, body_n;  /* bytes received; the head's with those of trailers */
    long status;            /* of a complete head; 0 before */
    int socket_error;       /* why there is no socket, or 0 */
    probe_done_fn *done;
    void *context;
    char error[CURL_ERROR_SIZE];
};

struct probe_curl_kind {
    size_t size; /* of its struct */

    /* Sets the request's method, path, version and fields. Returns 0 or -ENOMEM. */
    int (*set_request)(struct probe *probe);

    /* A line of the head or of the trailers, with its end; NULL: the kind needs none. */
    void (*on_line)(struct probe *probe, const char *line, size_t n);

    /* Bytes of the body; NULL: the kind needs none. */
    void (*on_body)(struct probe *probe, const char *bytes, size_t n);

    /* What an answer means whose head is complete; result: how it went on, CURLE_OK at its end. */
    enum probe_outcome (*judge)(const struct probe *probe, CURLcode result, char *detail,
                                size_t size);
};

/* The two functions of struct probe_ops, for kind. */
int probe_curl_start(const struct probe_curl_kind *kind, const struct probe_host *host,
                     const struct probe_target *target, probe_done_fn *done, void *context,
                     struct probe **ret_probe);
void probe_curl_stop(struct probe *probe);

/* For set_request: appends "name: value"; value NULL: nothing. Returns 0 or -ENOMEM. */
int probe_curl_add_field(struct probe *probe, const char *name, const char *value);

/* For judge: what a transfer that did not come to its end failed of. */
enum probe_outcome probe_curl_judge_error(const struct probe *probe, CURLcode result, char *detail,
                                          size_t size);

#endif
