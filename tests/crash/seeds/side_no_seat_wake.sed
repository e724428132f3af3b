# a wake that met nobody is not passed to a follower
# file: src/core/side.c
# finds: ring: one stopped in the seat
/^static void signal_side/,/^}/s/cmp_unpark\(&s->seat\.node\.word, 1\);/;/
