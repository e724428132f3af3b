# BIT_LATE: the bit comes after the object
# file: core/object.c
# scenarios: life-drop
/^static int take_cell/,/^}/{
s/^        rc = cmp_held_set(s, index);/        rc = 0;/
s/^    hold_first(h, fork_number);/    hold_first(h, fork_number); cmp_held_set(s, index);/
}
