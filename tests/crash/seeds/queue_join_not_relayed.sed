# who has joined wakes nobody else
# file: src/core/queue.c
# finds: queue: done, 3 join
/^int cmp_queue_join/,/^}/s/^    if \(nap.slept && all_done\)/    if (false)/
