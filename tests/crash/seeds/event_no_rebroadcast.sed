# who was woken by a death wakes nobody else
# file: src/core/event.c
# finds: event: set, 3 wait
/event\.wait\.relay"/,/event\.wait\.relayed"/s/cmp_unpark\(park, CMP_UNPARK_ALL\);//
