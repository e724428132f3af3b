# a segment is let go before it is left
# file: src/core/queue.c
# finds: queue: get, on to the next segment
/^static int get_locked/,/^}/s/^        rc = hold_all\(op\);/&\n    if (op->left != 0) cmp_object_drop(ref_of(op->left)), op->left = 0;/
