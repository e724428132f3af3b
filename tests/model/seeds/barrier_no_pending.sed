# no park word is ever pending
# file: core/barrier.c
# scenarios: barrier-3 barrier-2
s/cmp_pending(park_of([^;]*;/;/
