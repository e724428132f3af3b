# the permit words are no guards of the sleep
# file: src/core/sem.c
# finds: semaphore: releaser killed while another
/^static int guards/,/^}/s/words\[n\+\+\] = \(struct cmp_watch\)\{&s->permit\[i\], seen\};/;/;/^static int nap/,/^}/s/if \(n == 0\)/if (n < 0)/
