# a free extent is claimed by a plain store
# file: src/core/extent.c
# finds: arena: take one, stopped
/^static int claim_at/,/^}/s/^    if \(!cas_strong\(word, &seen, my_claim\(\)\)\)/    store_seqcst(word, my_claim());\n    if (seen)/
