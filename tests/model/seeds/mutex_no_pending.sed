# the mutex is never pending
# file: core/mutex.c
# scenarios: mutex-3 mutex-2
s/^    cmp_pending(&m->node\.word);//
