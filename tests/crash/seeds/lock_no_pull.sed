# who has acquired after a sleep wakes nobody
# file: src/core/lock.c
# finds: lock: contended, first of 3
/lock\.acquire\.pull"/,/lock\.acquire\.pulled"/s/cmp_unpark\(&l->park, 1\);//
