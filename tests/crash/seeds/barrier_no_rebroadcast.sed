# who was woken by a death wakes nobody else
# file: src/core/barrier.c
# finds: barrier: 3 parties, victim last
/barrier\.wait\.relay"/,/barrier\.wait\.relayed"/s/cmp_unpark\(park_of\(y->barrier, y->phase\), CMP_UNPARK_ALL\);//
