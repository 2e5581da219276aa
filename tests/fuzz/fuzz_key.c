/*
 * A line with a hash key as an operator writes it, then a request: whatever they are, the key lies
 * where its header says, does not hang on how the body arrives, and is the same the second time.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "balancer/http/key.h"
#include "conf/arena.h"
#include "conf/option.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const struct h1_limits limits = {
    .head_bytes = 1 << 16, .target_bytes = 1 << 15, .fields = 100};

static bool is_in(struct span inner, const void *p, size_t n)
{
    const uint8_t *outer = p;
    return inner.p >= outer && inner.p + inner.n <= outer + n;
}

static void find_body(struct key_body *body, const struct conf_key *key,
                      const struct key_input *input, struct span content, size_t piece)
{
    key_body_begin(body, key, input->request, input->message);
    while (content.n > 0 && key_body_waits(body)) {
        size_t n = content.n < piece ? content.n : piece;
        key_body_feed(body, (struct span){content.p, n});
        content = (struct span){content.p + n, content.n - n};
    }
    key_body_end(body);
    assert(!key_body_waits(body));
}

static void check_place(struct span key, const struct conf_key *conf, const struct key_input *input,
                        const struct key_room *room)
{
    assert(key.n > 0);
    bool is_built = is_in(key, room->bytes, sizeof room->bytes);
    bool is_there = is_in(key, input->message, input->request->head_n) ||
                    is_in(key, input->peer.p, input->peer.n) ||
                    is_in(key, input->body, sizeof *input->body) || span_equal(key, SPAN("/")) ||
                    span_equal(key, SPAN("*"));
    assert(is_built || is_there);
    assert(!is_built || conf->source == CONF_KEY_TEMPLATE);
}

static void check_key(const struct conf_key *conf, const struct h1_request *request,
                      const uint8_t *message, struct span content)
{
    struct conf_cidr all = {0};
    const struct conf_client trust = {.trusted_proxies = &all, .n_trusted_proxies = 1};
    static struct key_body bodies[2];
    static struct key_room rooms[2];
    struct span keys[2] = {SPAN(""), SPAN("")};
    bool has[2];
    for (int i = 0; i < 2; i++) {
        struct key_input input = {.request = request,
                                  .message = message,
                                  .peer = SPAN("192.0.2.1"),
                                  .trust = &trust,
                                  .body = &bodies[i]};
        find_body(&bodies[i], conf, &input, content, i == 0 ? SIZE_MAX : 1);
        has[i] = key_extract(conf, &input, &rooms[i], &keys[i]);
        if (has[i])
            check_place(keys[i], conf, &input, &rooms[i]);
    }
    assert(has[0] == has[1] && span_equal(keys[0], keys[1]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const uint8_t *newline = n > 0 ? memchr(data, '\n', n) : NULL;
    char text[256];
    if (newline == NULL || (size_t)(newline - data) >= sizeof text)
        return 0;
    memcpy(text, data, (size_t)(newline - data));
    text[newline - data] = '\0';
    struct conf_arena arena = {0};
    struct conf_key key = {0};
    int error = conf_type_key.parse(NULL, text, &key, &arena);
    assert(error == 0 || error == -EINVAL);
    assert(key.n_parts <= CONF_KEY_MAX_PARTS && key.n_body_fields <= CONF_KEY_MAX_BODY_FIELDS);

    /* In memory of its own, so that a sanitizer sees its borders. */
    size_t left = n - (size_t)(newline + 1 - data);
    uint8_t *message = malloc(left + 1);
    assert(message != NULL);
    memcpy(message, newline + 1, left);
    static struct h1_request request;
    static struct h1_field request_fields[H1_MAX_FIELDS];
    h1_request_init(&request, request_fields);
    if (error == 0 && left > 0 && h1_request_parse(&request, &limits, message, left) == H1_DONE)
        check_key(&key, &request, message,
                  (struct span){message + request.head_n, left - request.head_n});
    free(message);
    conf_arena_free(&arena);
    return 0;
}
