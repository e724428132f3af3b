# no pending word in lock
# file: src/core/mutex.c
# finds: mutex: 
/^int cmp_mutex_lock/,/^}/s/cmp_pending\(&m->node\.word\);//
