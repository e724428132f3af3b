# no pending word in release
# file: src/core/sem.c
# finds: semaphore: release, 1 waits
/^int cmp_sem_release/,/^}/s/cmp_pending\(&s->park\);//
