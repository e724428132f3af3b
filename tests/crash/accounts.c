/* accounts.c -- what lives in the arena, and who is answerable for it. */
#include "../../src/core/held.h"
#include "../../src/core/slab.h"
#include "harness.h"


static bool is_live(struct cmp_view *v, uint32_t index)
{
    return cmp_word_phase(load64_seqcst(cmp_view_word(v, index))) == CMP_OBJECT_LIVE;
}

/* What the director holds, and what that names, by links and in records of rings. */
static unsigned char reached[CMP_SLABS][CMP_CELLS_MAX / 8];
static bool found;

static bool is_reached(uint32_t index)
{
    return (reached[index >> CMP_CELL_BITS][index % CMP_CELLS_MAX / 8] >> (index % 8) & 1) != 0;
}

static void reach(void *arg, cmp_ref ref)
{
    uint32_t index = cmp_object_index(ref);
    (void)arg;
    if (cmp_view_of(index) == NULL || is_reached(index))
        return;
    reached[index >> CMP_CELL_BITS][index % CMP_CELLS_MAX / 8] |= (unsigned char)(1u << (index % 8));
    found = true;
}

static void reach_all(void)
{
    uint32_t end = cmp_slab_count() << CMP_CELL_BITS;
    memset(reached, 0, sizeof reached);
    for (uint32_t i = 0; i < end; i++)
        if (cmp_held_test(cmp_me_slot(), i))
            reach(NULL, i);
    for (found = true; found;) {
        found = false;
        for (uint32_t i = 0; i < end; i++) {
            struct cmp_view *v = is_reached(i) ? cmp_view_of(i) : NULL;
            if (v != NULL && is_live(v, i))
                cmp_object_each_ref(v, cmp_view_cell(v, i), reach, NULL);
        }
    }
}

static void check_objects(void)
{
    reach_all();
    for (uint32_t i = 0; i < cmp_slab_count() << CMP_CELL_BITS; i++) {
        struct cmp_view *v = cmp_view_of(i);
        if (v != NULL && is_live(v, i) && !is_reached(i))
            violation("object %#x of type %u lives, and nobody holds it", i, v->type);
    }
}

static void check_slots(void)
{
    for (uint32_t i = 0; i < cmp_slot_count(); i++) {
        uint64_t state = load64_seqcst(&cmp_slot_at(i)->state);
        enum cmp_phase phase = cmp_state_phase(state);
        if (i != cmp_me_number() && phase != CMP_SLOT_FREE)
            violation("slot %u of the dead is in phase %d", i, (int)phase);
    }
}

static void check_extents(void)
{
    uint32_t n = load_seqcst(&cmp_arena()->n_extents);
    for (uint32_t e = 0; e < n; e++)
        if (cmp_extent_word(e) & CMP_EXTENT_CLAIM)
            violation("extent %u is claimed: %#x", e, cmp_extent_word(e));
}

void check_nothing_left(void)
{
    cmp_process_lock();
    check_objects();
    check_slots();
    check_extents();
    cmp_process_unlock();
}

bool is_living(cmp_ref ref)
{
    uint32_t index = cmp_object_index(ref);
    cmp_process_lock();
    struct cmp_view *v = cmp_view_of(index);
    uint64_t word = v != NULL ? load64_seqcst(cmp_view_word(v, index)) : 0;
    cmp_process_unlock();
    return v != NULL && cmp_word_phase(word) == CMP_OBJECT_LIVE && cmp_word_gen(word) == (uint32_t)(ref >> 24);
}
