# park is never pending
# file: core/event.c
# scenarios: event-set
s/^\( *\)\(do \)\{0,1\}cmp_pending([^N][^;]*;/\1\2;/
