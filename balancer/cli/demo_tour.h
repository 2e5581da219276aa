/*
 * The demo's requests: asks for a few keys again and again and shows who answers.
 */
#ifndef QUOIT_BALANCER_CLI_DEMO_TOUR_H
#define QUOIT_BALANCER_CLI_DEMO_TOUR_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Waits until the balancer on this loopback port answers (ten seconds at most), asks for each key
 * three times and prints a table. Blocks. Returns the number of keys that moved, -EIO after it has
 * printed which request failed, or -ECANCELED soon after *is_over has become true.
 */
int demo_tour_run(uint16_t port, const _Atomic bool *is_over);

#endif
