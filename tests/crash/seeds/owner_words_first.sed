# a thread that ends clears its words before it says ORPHANED
# file: src/core/owner.c
# finds: thread: the first one ends
/^static void orphan/,/^}/{
/store64_seqcst\(&me\.slot->state/d
s/^    unlink_words\(\);/    unlink_words(); store64_seqcst(\&me.slot->state, with_phase(state, CMP_SLOT_ORPHANED));/
}
