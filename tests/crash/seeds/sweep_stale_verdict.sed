# a late sweeper frees what lives again
# file: src/core/sweep.c
# finds: sweep: stopped while its places
/^static bool free_object/,/^}/s/return cas64_strong\(word, &seen,/return seen = load64_seqcst(word), cas64_strong(word, \&seen,/
