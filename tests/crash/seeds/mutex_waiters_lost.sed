# unlock forgets that somebody waits
# file: src/core/mutex.c
# finds: mutex: woken, and another owner
s/store_seqcst\(&m->node\.word, CMP_WAITERS\);/store_seqcst(\&m->node.word, 0);/
