# a forked child is not made a holder
# file: src/core/fork.c
# finds: fork: parent killed
s/rc = cmp_held_copy\(.*\);/rc = 0;/
