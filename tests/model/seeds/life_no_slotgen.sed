# NO_SLOTGEN: a sweep goes on although a root was reaped by another
# file: core/sweep.c
# scenarios: life-two
/^static bool is_void/,/^}/s/^            return true;/            return false;/
