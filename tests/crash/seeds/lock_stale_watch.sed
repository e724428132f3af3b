# a wake on a former owner's hold word is kept to oneself
# file: src/core/lock.c
# finds: lock: a former owner dies
/^static int nap/,/^}/s/cmp_unpark\(s->hold, CMP_UNPARK_ALL\);/;/
