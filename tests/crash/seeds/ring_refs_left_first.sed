# the sender's hold ends before the record names the object
# file: src/core/ring.c
# finds: ring: put of an object, stopped while others sweep
/^static int commit_with_refs/,/^}/{
s/^        cmp_object_left.*//
s/^        cmp_side_publish/        cmp_object_left(op->refs, n);\n        cmp_side_publish/
}
