# park is never pending
# file: core/sem.c
# scenarios: sem-post sem-with
s/^    cmp_pending(&s->park);//
