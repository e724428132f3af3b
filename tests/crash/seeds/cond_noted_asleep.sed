# a repair does not wake who was notified
# file: src/core/cond.c
# finds: condition: notify(1), 3 wait, the oldest last
/^static void repair/,/^}/s/cmp_unpark\(low_half\(waiter\), 1\);/;/
