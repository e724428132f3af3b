# BIT_LATE: the bit comes after the object
# file: core/object.c
# scenarios: life-drop
/^static int take_cell/,/^}/{
s/int rc = cmp_held_set(s, index);/int rc = 0;/
s/^    hold_first(h, fork_number);/    hold_first(h, fork_number); cmp_held_set(s, index);/
}
