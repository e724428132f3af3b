# who took a permit does not pass the wake on
# file: core/sem.c
# scenarios: sem-burst sem-post
s/^    if (a->armed) {/    if (0) {/
