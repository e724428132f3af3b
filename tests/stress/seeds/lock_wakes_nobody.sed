# a release wakes nobody
# file: src/core/lock.c
/^static int release/,/^}/s/cmp_wake\(&l->park, PARK_ARMED, 1\);/;/
