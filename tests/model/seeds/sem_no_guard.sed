# the permit words are no guards
# file: core/sem.c
# scenarios: sem-post sem-timeout
s/^        words\[n++\] = (struct cmp_watch){&s->permit\[i\], seen};//
