# a wake that stands for several permits is kept to oneself
# file: src/core/sem.c
# finds: semaphore: release(2), 3 wait
/sem\.acquire\.rearmed/,/sem\.acquire\.passed/s/cmp_unpark\(&s->park, 1\);/;/
