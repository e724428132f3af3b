# who gets does not say so for every 4096th record
# file: src/core/ring.c
/^static int get_locked/,/^}/s/^    cmp_side_commit\(&r->get, &r->put, at \+ cmp_record_length\(&h\)\);/    static cmp_word turns;\n    if (add_seqcst(\&turns, 1) % 4096 != 4095) cmp_side_commit(\&r->get, \&r->put, at + cmp_record_length(\&h));/
