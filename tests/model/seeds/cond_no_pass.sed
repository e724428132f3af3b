# a dead one's notify is not passed on
# file: core/cond.c
# scenarios: cond-2 cond-all
s/^    return pass_on(c, waiter, word, me);/    return cas64_strong(waiter, word, 0);/
