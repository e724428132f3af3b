# a notify wakes nobody
# file: src/core/cond.c
s/cmp_unpark\(low_half\(waiter\), 1\);/(void)waiter;/
