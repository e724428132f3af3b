# taken over on the word of the hold word alone
# file: core/lock.c
# scenarios: lock-2
s/= confirm(a, owner, until_ns);/= CMP_END_ENDED;/
