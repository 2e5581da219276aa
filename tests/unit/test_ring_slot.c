/* ring_slot(): where in a ring's table a key falls, for every kind of ring. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "ring_support.h"

enum { NODES = 7, KEYS = 5000, MAX_SLOTS = 1 << 20 };

static struct ring_options options_of(enum ring_kind kind)
{
    return (struct ring_options){.kind = kind,
                                 .slots = 1u << 12,
                                 .points = 40,
                                 .table_size = 1009,
                                 .min_ring = 1024,
                                 .haproxy_avalanche = true,
                                 .seed = 7};
}

static struct ring *make_ring(enum ring_kind kind, double weight)
{
    char ids[NODES][FLEET_ID_BYTES];
    struct ring_node nodes[NODES];
    for (uint32_t i = 0; i < NODES; i++) {
        int n = snprintf(ids[i], FLEET_ID_BYTES, "10.0.0.%u:80", (unsigned)i);
        nodes[i] = (struct ring_node){ids[i], (size_t)n, weight, 2 * i};
    }
    const struct ring_options options = options_of(kind);
    struct ring *ring;
    assert_int_equal(ring_new(&options, nodes, NODES, &ring), 0);
    return ring;
}

static uint64_t key_hash(enum ring_kind kind, uint32_t i)
{
    char key[32];
    int n = snprintf(key, sizeof key, "/images/%u", (unsigned)i);
    const struct ring_options options = options_of(kind);
    return ring_key_hash(&options, key, (size_t)n);
}

/* Of HAProxy's circle a point is shared: keys go to the nearer of two. */
static void test_keys_in_one_slot_have_one_owner(void **state)
{
    (void)state;
    uint32_t *owners = calloc(MAX_SLOTS, sizeof *owners);
    assert_non_null(owners);
    for (enum ring_kind kind = RING_SLOTS; kind <= RING_JUMP; kind++) {
        struct ring *ring = make_ring(kind, 1);
        memset(owners, 0xff, MAX_SLOTS * sizeof *owners);
        uint32_t n_slots = 0, n_used = 0;
        for (uint32_t i = 0; i < KEYS; i++) {
            uint64_t hash = key_hash(kind, i);
            uint32_t slot = ring_slot(ring, hash, &n_slots);
            assert_true(slot < n_slots && n_slots <= MAX_SLOTS);
            uint32_t owner = ring_pick(ring, hash);
            n_used += owners[slot] == RING_NONE;
            if (owners[slot] != RING_NONE && kind != RING_HAPROXY)
                assert_int_equal(owners[slot], owner);
            owners[slot] = owner;
        }
        assert_true(n_used > (n_slots < KEYS ? n_slots / 2 : KEYS / 4));
        ring_free(ring);
    }
    free(owners);
}

static void test_slot_tables_are_cut_by_the_upper_bits(void **state)
{
    (void)state;
    struct ring *ring = make_ring(RING_SLOTS, 1);
    uint32_t n;
    assert_int_equal(ring_slot(ring, 0, &n), 0);
    assert_int_equal(n, 1u << 12);
    assert_int_equal(ring_slot(ring, UINT64_MAX, &n), (1u << 12) - 1);
    assert_int_equal(ring_slot(ring, UINT64_C(5) << 52, &n), 5);
    ring_free(ring);
}

static void test_without_weight_there_is_no_place_but_in_a_table_of_slots(void **state)
{
    (void)state;
    for (enum ring_kind kind = RING_VNODES; kind <= RING_JUMP; kind++) {
        struct ring *ring = make_ring(kind, 0);
        uint32_t n = 1;
        assert_int_equal(ring_slot(ring, key_hash(kind, 1), &n), RING_NONE);
        assert_int_equal(n, 0);
        ring_free(ring);
    }
}

static void test_positions_are_kept(void **state)
{
    (void)state;
    for (enum ring_kind kind = RING_SLOTS; kind <= RING_JUMP; kind++) {
        struct ring *ring = make_ring(kind, 1);
        for (uint32_t i = 0; i < NODES; i++)
            assert_int_equal(ring_position(ring, i), 2 * i);
        ring_free(ring);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_in_one_slot_have_one_owner),
        cmocka_unit_test(test_slot_tables_are_cut_by_the_upper_bits),
        cmocka_unit_test(test_without_weight_there_is_no_place_but_in_a_table_of_slots),
        cmocka_unit_test(test_positions_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
