/* scenario_list.c -- all scenarios, in the order in which they run. */
#include "model.h"

#define SCENARIOS(X) \
    X(mutex_2) X(mutex_3) X(mutex_4) \
    X(lock_2) X(lock_3) X(lock_timeout) X(lock_barge) X(lock_shared) \
    X(lock_release) X(rlock_2) X(gate_3) \
    X(event_set) X(event_pulse) X(event_setters) \
    X(sem_post) X(sem_burst) X(sem_timeout) X(sem_with) X(sem_two) X(sem_surplus) \
    X(cond_1) X(cond_2) X(cond_timeout) X(cond_quit) X(cond_all) X(cond_twice) \
    X(barrier_2) X(barrier_rounds) X(barrier_3) X(barrier_next) X(barrier_missing) X(barrier_action) X(barrier_abort) \
    X(barrier_reset) X(barrier_quit) X(barrier_crowd) \
    X(side_get) X(side_put) X(side_timeout) X(side_look) X(side_relay) \
    X(life_take) X(life_drop) X(life_fork) X(life_spawn) X(life_cond) X(life_other) \
    X(life_source) X(life_two)

#define DECLARE(name) extern const struct scenario name;
#define NAME(name) &name,
SCENARIOS(DECLARE)
const struct scenario *const scenarios[] = {SCENARIOS(NAME) NULL};
