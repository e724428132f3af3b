# a queue is shut with nothing pending
# file: src/core/queue.c
# finds: queue: shut down, 2 wait for items
/^int cmp_queue_shutdown/,/^}/s/cmp_pending\(&c->shut\);//
