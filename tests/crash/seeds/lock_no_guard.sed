# the lock word is no guard of the sleep
# file: src/core/lock.c
# finds: lock: releaser killed while another
s/\{&l->word, s->word\}, \{s->hold/{\&l->park, PARK_ARMED}, {s->hold/;/^static int nap/,/^}/s/if \(load_seqcst\(&l->word\) != s->word\)/if (0)/
