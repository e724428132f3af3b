# who joins is not told of a new consumer
# file: src/core/tasks.c
# finds: queue: get and done, 2 join, its items are lost
/^static void enroll/,/^}/s/^    wake_joiners\(t\);/    ;/
