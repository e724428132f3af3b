# no pending word in a move
# file: src/core/barrier.c
# finds: barrier: 3 parties, victim last
/^static int arrive/,/^}/s/cmp_pending\(park_of\(y->barrier, y->phase\)\);//
