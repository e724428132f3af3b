# the lock word is no guard: park may have been armed again by somebody else
# file: core/lock.c
# scenarios: lock-3 lock-timeout
s/{&l->word, s->word}/{\&l->park, PARK_ARMED}/
