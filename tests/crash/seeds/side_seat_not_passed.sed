# who leaves the seat wakes nobody
# file: src/core/side.c
# finds: ring: get, empty, first of 3
/^int cmp_turn_take/,/^}/s/cmp_mutex_unlock\(&t->side->seat\);/{ cmp_pending(\&t->side->seat.node.word); cmp_robust_unlink(\&t->side->seat.node); store_seqcst(\&t->side->seat.node.word, 0); cmp_pending(NULL); }/
