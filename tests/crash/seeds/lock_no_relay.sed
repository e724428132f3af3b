# who finds the owner dead wakes nobody else
# file: src/core/lock.c
# finds: lock: owner of two locks dies, one hold word, nobody else
s/^( *)cmp_owner_relay\(owner, a->lock->node\);/\1;/;s/^( *)cmp_unpark\(s->hold, CMP_UNPARK_ALL\);/\1;/
