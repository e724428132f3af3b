# who gives up does not pull
# file: core/lock.c
# scenarios: lock-timeout
s/^    if (a\.nap\.slept) {/    if (a.nap.slept \&\& rc != -EAGAIN) {/
