# a follower who was woken does not arm the park word again
# file: src/core/side.c
# finds: ring: one stopped in the seat
/^static int follow\(/,/^}/s/xchg_seqcst\(&s->park, PARK_ARMED\);/;/
