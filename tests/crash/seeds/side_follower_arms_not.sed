# a follower does not arm the park word
# file: src/core/side.c
# finds: ring: one stopped in the seat
/^static int follow\(/,/^}/s/xchg_seqcst\(&s->park, PARK_ARMED\);/;/
