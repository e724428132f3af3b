# park is never pending: a wake dies with its sender
# file: core/lock.c
# scenarios: lock-3
s/^    cmp_pending(&l->park);.*//
