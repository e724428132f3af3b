# a slot used again stands for the process before
# file: src/core/owner.c
# finds: lock: owner killed, its slot reused
/^static bool is_of/,/^}/s/\(uint16_t\)cmp_state_gen\(state\) == code_gen\(code\) \&\&/code != 0 \&\&/
