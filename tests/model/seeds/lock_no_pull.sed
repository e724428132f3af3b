# no pull: who slept does not have the next one look at the new owner
# file: core/lock.c
# scenarios: lock-barge lock-timeout
s/^    if (a\.nap\.slept) {/    if (0) {/
