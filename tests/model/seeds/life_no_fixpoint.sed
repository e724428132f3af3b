# NO_FIXPOINT: objects touched during the sweep are not marked
# file: core/sweep.c
# scenarios: life-other life-cond life-take
s/^            look_at_words_again(w, i);/            (void)look_at_words_again;/
