# a wake that stands for several permits is kept to oneself
# file: src/core/sem.c
# finds: semaphore: wait, first of 3, 3 releases
/sem\.acquire\.rearmed/,/sem\.acquire\.passed/s/cmp_unpark\(&s->park, 1\);/;/
