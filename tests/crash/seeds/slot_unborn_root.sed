# an embryo that nobody bears any more lives for ever
# file: src/core/slot.c
# finds: fork: parent killed
/^static bool nobody_bears/,/^}/s/return fd >= 0;/return false;/
