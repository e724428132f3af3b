# who finds the queue shut wakes nobody
# file: src/core/queue.c
# finds: queue: shut down, 2 wait for room
/^static void relay_shut/,/^}/s/cmp_unpark\(.*/;/
