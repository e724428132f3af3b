# a block that is taken is not held: a sweep frees it under its users
# file: src/core/object.c
/^static int take_from_others/,/^}/s/hold_first\(h, 0\);/{ hold_first(h, 0); if (v->type >= CMP_TYPE_BLOCK) cmp_held_clear_bit(s, index); }/
