# park is never pending
# file: core/cond.c
# scenarios: cond-2 cond-all
s/^    cmp_pending(&c->park);//
