# a follower does not watch the position
# file: src/core/side.c
# finds: ring: put, one is about to follow
/^static int follow_once/,/^}/s/\{guard, stands\}/{\&t->side->seat.node.word, seat}/
