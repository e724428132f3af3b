/* atomics.h -- the only file that spells an atomic operation.

   Every name carries its order; there is no unsuffixed form.  Everything else
   in src/core pairs orders by naming the partner in a "SYNC" comment.  */
#ifndef CMP_ATOMICS_H
#define CMP_ATOMICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef _Atomic uint32_t cmp_word;
typedef _Atomic uint64_t cmp_word64;

static inline uint32_t load_relaxed(cmp_word *w)
{
    return atomic_load_explicit(w, memory_order_relaxed);
}

static inline uint32_t load_acquire(cmp_word *w)
{
    return atomic_load_explicit(w, memory_order_acquire);
}

static inline uint32_t load_seqcst(cmp_word *w)
{
    return atomic_load_explicit(w, memory_order_seq_cst);
}

static inline void store_relaxed(cmp_word *w, uint32_t want)
{
    atomic_store_explicit(w, want, memory_order_relaxed);
}

static inline void store_release(cmp_word *w, uint32_t want)
{
    atomic_store_explicit(w, want, memory_order_release);
}

static inline uint64_t xchg64_seqcst(cmp_word64 *w, uint64_t want)
{
    return atomic_exchange_explicit(w, want, memory_order_seq_cst);
}

static inline uint32_t xchg_seqcst(cmp_word *w, uint32_t want)
{
    return atomic_exchange_explicit(w, want, memory_order_seq_cst);
}

static inline bool cas_acquire(cmp_word *w, uint32_t *seen, uint32_t want)
{
    return atomic_compare_exchange_weak_explicit(
        w, seen, want, memory_order_acquire, memory_order_relaxed);
}

static inline bool cas_seqcst(cmp_word *w, uint32_t *seen, uint32_t want)
{
    return atomic_compare_exchange_weak_explicit(
        w, seen, want, memory_order_seq_cst, memory_order_relaxed);
}

static inline void store_seqcst(cmp_word *w, uint32_t want)
{
    atomic_store_explicit(w, want, memory_order_seq_cst);
}

static inline uint32_t add_seqcst(cmp_word *w, uint32_t n)
{
    return atomic_fetch_add_explicit(w, n, memory_order_seq_cst);
}

static inline uint32_t or_seqcst(cmp_word *w, uint32_t bits)
{
    return atomic_fetch_or_explicit(w, bits, memory_order_seq_cst);
}

static inline uint32_t and_seqcst(cmp_word *w, uint32_t bits)
{
    return atomic_fetch_and_explicit(w, bits, memory_order_seq_cst);
}

/* Strong: fails only if *w differed.  On failure *seen is what it held.  */
static inline bool cas_strong(cmp_word *w, uint32_t *seen, uint32_t want)
{
    return atomic_compare_exchange_strong_explicit(
        w, seen, want, memory_order_seq_cst, memory_order_seq_cst);
}

static inline uint64_t load64_relaxed(cmp_word64 *w)
{
    return atomic_load_explicit(w, memory_order_relaxed);
}

static inline uint64_t load64_acquire(cmp_word64 *w)
{
    return atomic_load_explicit(w, memory_order_acquire);
}

static inline uint64_t load64_seqcst(cmp_word64 *w)
{
    return atomic_load_explicit(w, memory_order_seq_cst);
}

static inline void store64_relaxed(cmp_word64 *w, uint64_t want)
{
    atomic_store_explicit(w, want, memory_order_relaxed);
}

static inline void store64_release(cmp_word64 *w, uint64_t want)
{
    atomic_store_explicit(w, want, memory_order_release);
}

static inline void store64_seqcst(cmp_word64 *w, uint64_t want)
{
    atomic_store_explicit(w, want, memory_order_seq_cst);
}

static inline uint64_t add64_seqcst(cmp_word64 *w, uint64_t n)
{
    return atomic_fetch_add_explicit(w, n, memory_order_seq_cst);
}

static inline uint64_t or64_seqcst(cmp_word64 *w, uint64_t bits)
{
    return atomic_fetch_or_explicit(w, bits, memory_order_seq_cst);
}

static inline uint64_t and64_seqcst(cmp_word64 *w, uint64_t bits)
{
    return atomic_fetch_and_explicit(w, bits, memory_order_seq_cst);
}

static inline bool cas64_strong(cmp_word64 *w, uint64_t *seen, uint64_t want)
{
    return atomic_compare_exchange_strong_explicit(
        w, seen, want, memory_order_seq_cst, memory_order_seq_cst);
}

/* Keep the compiler from moving memory accesses across this line.  For what
   only this thread, its signal handlers and the kernel on its behalf read.  */
static inline void compiler_barrier(void)
{
    atomic_signal_fence(memory_order_seq_cst);
}

#endif /* CMP_ATOMICS_H */
