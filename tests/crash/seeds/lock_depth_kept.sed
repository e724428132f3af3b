# an RLock taken over is not marked as the heir's
# file: src/core/lock.c
# finds: rlock: take-over
/^static int acquire\(/,/^}/s/store64_relaxed\(&l->holder, myself\(me\)\);/if (rc == 0) store64_relaxed(\&l->holder, myself(me));/
