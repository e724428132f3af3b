# TOUCH_FIRST: touched before the new reference is there
# file: core/object.c
# scenarios: life-other life-cond life-take
/^static int take_from_others/,/^}/{
s/^    int rc = cmp_held_set(s, index);/    bool lives = touch(word, gen); int rc = cmp_held_set(s, index);/
s/touch(word, gen) &&/lives \&\&/
}
