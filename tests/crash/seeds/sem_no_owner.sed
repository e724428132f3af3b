# a permit taken by with is not in its taker's name
# file: src/core/sem.c
# finds: semaphore: with, take-over
s/uint32_t who = with \? me : PERMIT_ANON;/uint32_t who = PERMIT_ANON;/
