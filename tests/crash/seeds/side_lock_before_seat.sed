# a follower who was woken asks for the lock before he looks at the seat
# file: src/core/side.c
# finds: ring: one woken in the seat
/^static int follow\(/,/^}/s/^    do \{/    do {\n        if (nap.slept \&\& (cmp_pending(NULL), rc = attempt(t, deadline_ns)) != -EAGAIN)\n            return rc;/
