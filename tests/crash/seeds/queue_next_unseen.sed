# a sweep sees the first segment of a queue alone
# file: src/core/queue.c
# finds: queue: put, on to the next segment
/^void cmp_queue_each_ref/,/^}/s/walk_segments\(&w\)/false/
