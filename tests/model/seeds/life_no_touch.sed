# NO_TOUCH: a move does not change the object's word
# file: core/object.c
# scenarios: life-cond life-take life-spawn
s/add64_seqcst(word, CMP_OBJECT_TOUCH)/load64_seqcst(word)/
s/add64_seqcst(cmp_view_word(v, index), CMP_OBJECT_TOUCH)/load64_seqcst(cmp_view_word(v, index))/
