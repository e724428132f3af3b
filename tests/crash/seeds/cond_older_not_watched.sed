# nobody watches the older waiters
# file: src/core/cond.c
# finds: condition: wait, oldest of 3, notify
/^static bool collect/,/^}/s/if \(matters \&\& cmp_vigil_ended\(v, code_of\(seen\)\)\)/if (0 \&\& matters)/
