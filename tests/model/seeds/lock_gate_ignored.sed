# a gate is taken over although its holder left in order
# file: core/lock.c
# scenarios: gate-3
s/^    if ((s->word & LOCK_GATE) &&/    if (0 \&\&/
