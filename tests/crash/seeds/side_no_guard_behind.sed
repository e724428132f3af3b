# a follower does not watch the position
# file: src/core/side.c
# finds: ring: one stopped in the seat, put
/^static int follow_once/,/^}/s/\{guard, stands\}/{\&t->side->seat.node.word, seat}/
