# nobody looks whether a party has died
# file: src/core/barrier.c
# finds: barrier: 3 of 4 parties come, victim first
/^static int look/,/^}/s/else if \(cmp_vigil_ended\(&y->vigil, \(uint32_t\)seen\)\)/else if (0)/
