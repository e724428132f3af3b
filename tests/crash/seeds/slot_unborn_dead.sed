# an embryo is dead although its birth lock is held
# file: src/core/slot.c
# finds: fork: parent killed, a sweep
/^static bool nobody_bears/,/^}/s/return fd >= 0;/return true;/
