# who was woken does not wake the others: the kernel wakes one
# file: core/event.c
# scenarios: event-set
s/^    if (rc == 0 && nap\.slept) {/    if (0) {/
