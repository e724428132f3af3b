# an owner that left in order leaves its gate open
# file: src/core/lock.c
# finds: lock: gate, holder left in order
s/cmp_owner_left_in_order\(owner_of\(s->word\)\)/false/
