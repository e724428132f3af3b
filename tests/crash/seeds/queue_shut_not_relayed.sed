# who finds the queue shut wakes nobody
# file: src/core/queue.c
# finds: queue: shut down, 3 wait, the seat last
/^static void relay_shut/,/^}/s/cmp_unpark\(.*/;/
