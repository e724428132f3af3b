# after a recovery nobody looks at what it has freed
# file: src/core/extent.c
# finds: arena: take one extent
/^int cmp_extent_recover/,/^}/s/^    store_relaxed\(&cmp_arena\(\)->hint.*//
/^static void free_claim/,/^}/s/^        store_relaxed\(&cmp_arena\(\)->hint.*/        ;/
