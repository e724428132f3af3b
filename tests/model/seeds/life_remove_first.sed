# REMOVE_FIRST: the embryo is given up before its objects are held
# file: core/object.c
# scenarios: life-spawn
s/^    cmp_held_each(s, adopt_some, &a);/    cmp_slot_release(embryo); cmp_held_each(s, adopt_some, \&a);/
