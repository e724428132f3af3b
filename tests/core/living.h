/* living.h -- whether an object lives, whoever holds it.  */
#ifndef CMP_TEST_LIVING_H
#define CMP_TEST_LIVING_H

#include "../../src/core/slab.h"

static inline bool lives(cmp_ref ref)
{
    uint32_t index = cmp_object_index(ref);
    cmp_process_lock();
    uint64_t word = load64_relaxed(cmp_view_word(cmp_view_of(index), index));
    cmp_process_unlock();
    return cmp_word_phase(word) == CMP_OBJECT_LIVE && cmp_word_gen(word) == ref >> 24;
}

#endif /* CMP_TEST_LIVING_H */
