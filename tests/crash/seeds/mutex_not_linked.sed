# the owner's list does not name the mutex
# file: src/core/mutex.c
# finds: mutex: contended, first
s/cmp_robust_link\(&m->node\);//;s/cmp_robust_unlink\(&m->node\);//
