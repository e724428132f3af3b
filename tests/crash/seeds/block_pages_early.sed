# the pages of a cell are allocated before it is anybody's, also while they are given back
# file: src/core/object.c
# finds: block: give back, small, stopped while it is wanted
/^static int take_cell/,/^}/{
s/int rc = cmp_held_set\(s, index\);/int rc = cmp_slab_commit(v, index); if (rc == 0) rc = cmp_held_set(s, index);/
}
