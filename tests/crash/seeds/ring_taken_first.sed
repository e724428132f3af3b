# the record is taken out before it is copied
# file: src/core/ring.c
# finds: ring: get, full, 2 wait
/^static int get_locked/,/^}/{
s/^    rc = read_record\(op, at, &h\);/    cmp_side_commit(\&r->get, \&r->put, at + cmp_record_length(\&h)); rc = read_record(op, at, \&h);/
s/^    cmp_side_commit\(&r->get.*//
}
