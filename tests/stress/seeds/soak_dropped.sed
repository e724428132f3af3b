# every 4096th record is not written at all
# file: src/core/ring.c
/^static int put_locked/,/^}/s/^    cmp_word64 \*refs = write_record\(op, at\);/    static cmp_word turns;\n    if (add_seqcst(\&turns, 1) % 4096 == 4095 \&\& op->draft.record.n_refs == 0) return 0;\n&/
