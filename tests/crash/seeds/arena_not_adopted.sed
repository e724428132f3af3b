# recovery frees the claim of the dead without making it its own
# file: src/core/extent.c
# finds: arena: recover, stopped
/^int cmp_extent_recover/,/^}/s/ \|\| !cas_strong\(word, &seen, my_claim\(\)\)//
