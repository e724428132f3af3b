# an extent is published before the directory names it
# file: src/core/extent.c
# finds: arena: link
/^int cmp_extent_link/,/^}/{
    s/^    uint32_t seen = 0;/    uint32_t seen = 0;\n    cmp_extent_publish(e, kind);/
    s/^        clear_claim\(e\);/        cmp_extent_give(e);/
}
