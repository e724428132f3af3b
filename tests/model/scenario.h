/* scenario.h -- what the scenarios share. */
#ifndef SCENARIO_H
#define SCENARIO_H

#include "core/arena.h"
#include "core/owner.h"
#include "engine.h"

/* The n-th of a few cells of 512 bytes, beyond what the arena uses. */
static inline void *cell(int n)
{
    return SHARED_BASE + SHARED_BYTES - 65536 + 512 * n;
}

/* In process 0, and then in each. */
static void make_family(void)
{
    if (cmp_family_init() != 0)
        model_violation("there is no arena");
}

static uint32_t code_of[ACTORS];

static void join_family(void)
{
    code_of[model_self()] = cmp_me();
    if (code_of[model_self()] == 0)
        model_violation("process %d has no slot", model_self());
}

#endif /* SCENARIO_H */
