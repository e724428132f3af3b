# a notify counts as used before the lock is held
# file: src/core/cond.c
# finds: condition: wait, oldest of 3, notify(1)
/^int cmp_cond_wait/,/^}/s/CMP_HOOK\("cond\.wait\.noted"\);/if (rc == 0) store64_seqcst(w->waiter, 0);/
