# who was woken does not wake the others
# file: core/barrier.c
# scenarios: barrier-3
s/y->vigil\.nap\.slept) {/0) {/
