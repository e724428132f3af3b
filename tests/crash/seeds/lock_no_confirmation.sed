# taken over as soon as the hold word says dead
# file: src/core/lock.c
# finds: lock: take-over withheld, first
/^static enum cmp_end confirm/,/^}/s/return cmp_owner_confirm\(.*\);/return (void)known, (void)until_ns, CMP_END_ENDED;/
