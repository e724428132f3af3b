# arrivals are no guards: the last one comes unseen
# file: core/barrier.c
# scenarios: barrier-3 barrier-2
s/^            cmp_vigil_guard(&y->vigil, half(&b->arrival\[i\], true).*//
