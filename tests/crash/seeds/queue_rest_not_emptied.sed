# who finds the queue shut at once leaves the rest in it
# file: src/core/queue.c
# finds: queue: shut down at once, two segments
/^int cmp_queue_get_many/,/^}/s/empty_all\(q\);/;/
