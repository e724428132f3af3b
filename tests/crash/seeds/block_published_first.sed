# extents are published before their object names them
# file: src/core/block.c
# finds: block: create and drop
/^static int name_extents/,/^}/{
/store64_seqcst/{
h
d
}
/cmp_extent_publish/{
G
}
}
