# set and clear at once looks as if nothing had been
# file: src/core/event.c
# finds: event: wait, first of 3, set and clear
/^void cmp_event_clear/,/^}/s/count \+ 1\)/count - 1)/
