# nobody looks for dead parties
# file: core/barrier.c
# scenarios: barrier-missing
s/} else if (cmp_vigil_ended(&y->vigil, (uint32_t)seen))/} else if (0)/
