# a claim that failed half way keeps the tails it had
# file: src/core/extent.c
# finds: arena: take more than
/^static int claim_at/,/^}/s/free_claim\(e\);/store_release(word_at(e), 0);/
