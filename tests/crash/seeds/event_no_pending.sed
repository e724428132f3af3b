# no pending word in set
# file: src/core/event.c
# finds: event: set, 3 wait
/^static cmp_word \*make_odd/,/^}/s/cmp_pending\(park_of\(e, count\)\);//
