# a sweep does not look for the segments of queues
# file: src/core/object.c
# finds: queue: put, on to the next segment
/^void cmp_object_each_ref/,/^}/s/cmp_queue_each_ref\(.*/;/
