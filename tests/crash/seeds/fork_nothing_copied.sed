# a forked child is not made a holder
# file: src/core/fork.c
# finds: fork: parent killed
# finds: fork: a block goes to a child, the parent killed
s/rc = cmp_held_copy\(.*\);/rc = 0;/
