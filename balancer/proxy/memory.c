#include "balancer/proxy/memory.h"

#include <assert.h>

#include "balancer/log/log.h"
#include "balancer/proxy/conn.h"
#include "balancer/proxy/worker.h"

#define SAY_PAUSE_US (10 * UINT64_C(1000000))

void memory_init(struct memory *memory)
{
    for (int i = 0; i < BUFFER_USES; i++)
        TAILQ_INIT(&memory->waiting[i]);
}

static void say(struct worker *worker)
{
    struct memory *memory = &worker->memory;
    if (worker->now_us < memory->say_us)
        return;
    memory->say_us = worker->now_us + SAY_PAUSE_US;
    log_event(LOG_WARN, "memory_limit_reached", LOG_U64("worker", worker->index + 1),
              LOG_U64("used_bytes", worker->buffers.used_bytes),
              LOG_U64("limit_bytes", worker->buffers.limit_bytes));
}

bool memory_ask(struct conn *conn)
{
    struct worker *worker = conn->worker;
    enum buffer_use use = conn->ops->use;
    if (buffer_pool_allows(&worker->buffers, use))
        return true;
    if (!conn->waits_for_memory) {
        conn->waits_for_memory = true;
        TAILQ_INSERT_TAIL(&worker->memory.waiting[use], conn, waiting);
        counter_add(&worker->stats.memory_waits, 1);
        say(worker);
    }
    return false;
}

void memory_forget(struct conn *conn)
{
    if (!conn->waits_for_memory)
        return;
    conn->waits_for_memory = false;
    TAILQ_REMOVE(&conn->worker->memory.waiting[conn->ops->use], conn, waiting);
}

/* As many as there are buffers for; who finds none after all waits again, behind the others. */
static void serve(struct worker *worker, enum buffer_use use)
{
    uint64_t n = buffer_pool_left(&worker->buffers, use);
    struct conn *conn;
    while (n-- > 0 && (conn = TAILQ_FIRST(&worker->memory.waiting[use])) != NULL) {
        memory_forget(conn);
        conn_update(conn);
    }
}

void memory_serve(struct worker *worker)
{
    for (int use = 0; use < BUFFER_USES; use++)
        if (!TAILQ_EMPTY(&worker->memory.waiting[use]))
            serve(worker, (enum buffer_use)use);
}
