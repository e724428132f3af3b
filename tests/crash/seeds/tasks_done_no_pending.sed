# the last item is done with, and nothing is pending
# file: src/core/tasks.c
# finds: queue: done, 3 join
/^int cmp_tasks_done/,/^}/s/cmp_pending\(&t->idle\);//
