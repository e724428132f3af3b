# no pending word in acquire
# file: src/core/lock.c
# finds: lock: contended, first of 3
/^static int acquire_slow/,/^}/s/cmp_pending\(&l->park\);//
