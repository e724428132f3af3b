# the child's table is published before it is complete
# file: src/core/fork.c
# finds: fork: parent killed, a sweep
/^static int prepare_child/,/^}/s/if \(rc == 0 \&\& !cmp_slot_conceive\(&birth\.embryo\)\)/if (0)/
