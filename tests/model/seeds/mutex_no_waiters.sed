# WAITERS does not stay in the free word
# file: core/mutex.c
# scenarios: mutex-3
s/store_seqcst(&m->node\.word, CMP_WAITERS);/store_seqcst(\&m->node.word, 0);/
