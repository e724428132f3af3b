# SOURCE_NOGEN: the source may have been two processes, one after the other
# file: core/object.c
# scenarios: life-source
/^static bool is_source/,/^}/s/cmp_state_gen([^;]*) == cmp_state_gen(before)/true/g
