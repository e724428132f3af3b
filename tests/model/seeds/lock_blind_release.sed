# the word is freed by a store, not by the CAS of what was seen
# file: core/lock.c
# scenarios: lock-release gate-3
s/} while (!cas_strong(&l->word, &seen, want));/} while (0); store_seqcst(\&l->word, want);/
