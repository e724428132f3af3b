# who has joined wakes nobody else
# file: src/core/tasks.c
# finds: queue: done, 3 join
/^int cmp_tasks_join/,/^}/s/^    if \(j.vigil.nap.slept && all_done\)/    if (false)/
