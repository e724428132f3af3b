# a release wakes nobody
# file: src/core/lock.c
/^static int release/,/^}/s/cmp_unpark\(&l->park, 1\);/;/
