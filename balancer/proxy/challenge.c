#include "balancer/proxy/challenge.h"

#include "balancer/proxy/worker.h"

#define PREFIX "/.well-known/acme-challenge/"

size_t challenge_answer(const struct request *r, char ret_answer[CHALLENGES_ANSWER_SIZE])
{
    size_t prefix_n = sizeof PREFIX - 1;
    struct span path = {r->message + r->head.path.at, r->head.path.n};
    if (path.n <= prefix_n || memcmp(path.p, PREFIX, prefix_n) != 0)
        return 0;
    return challenges_find_token(request_worker(r)->proxy->challenges, path.p + prefix_n,
                                 path.n - prefix_n, ret_answer);
}

bool challenge_is_known(const struct request *r)
{
    char answer[CHALLENGES_ANSWER_SIZE];
    bool may_be = request_worker(r)->proxy->challenges != NULL &&
                  (r->head.method == H1_GET || r->head.method == H1_HEAD);
    return may_be && challenge_answer(r, answer) > 0;
}
