# the next place is written over the valid one
# file: src/core/queue.c
# finds: queue: put, nobody waits
/^static int commit_put/,/^}/s/put_place\[end & 1\]/put_place[at \& 1]/
