# the sender's hold ends before the record names the object
# file: src/core/record.c
# finds: ring: put of an object, stopped while others sweep
/^int cmp_record_commit/,/^}/{
s/^        cmp_object_left.*//
s/^        cmp_side_publish/        cmp_object_left(refs, n);\n        cmp_side_publish/
}
