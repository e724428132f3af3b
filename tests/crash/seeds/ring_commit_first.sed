# the record is committed before it is written
# file: src/core/ring.c
# finds: ring: put, nobody waits
/^static int put_locked/,/^}/{
s/^    write_record\(op, at\);/    if (op->record.n_refs > 0) write_record(op, at);/
s/^        cmp_side_commit\(&r->put, &r->get, at \+ need\);/{ cmp_side_commit(\&r->put, \&r->get, at + need); write_record(op, at); }/
}
