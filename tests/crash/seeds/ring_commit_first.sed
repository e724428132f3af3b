# the record is committed before it is written
# file: src/core/ring.c
# finds: ring: put, nobody waits
/^static int put_locked/,/^}/{
s/^    cmp_word64 \*refs = write_record\(op, at\);/    cmp_word64 *refs = op->draft.record.n_refs > 0 ? write_record(op, at) : NULL;/
s/^    return rc;/    if (refs == NULL) write_record(op, at);\n    return rc;/
}
