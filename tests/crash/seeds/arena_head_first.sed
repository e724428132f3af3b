# an extent is free before its tails are
# file: src/core/extent.c
# finds: arena: give back three
/^static void free_claim/,/^}/{
    s/^    for \(uint32_t n = count\(e\); --n > 0;\) \{/    uint32_t n = count(e);\n    store_release(word_at(e), 0);\n    while (--n > 0) {/
}
