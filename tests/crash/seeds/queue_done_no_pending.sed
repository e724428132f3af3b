# the last item is done with, and nothing is pending
# file: src/core/queue.c
# finds: queue: done, 3 join
/^int cmp_queue_task_done/,/^}/s/cmp_pending\(&c->idle\);//
