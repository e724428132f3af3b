# take does not touch
# file: src/core/object.c
# finds: sweep: stopped while an object is taken
/^static int take_from_others/,/^}/s/touch\(word, gen\)/is_live(load64_seqcst(word), gen)/
