# who sleeps in the seat does not watch the position
# file: src/core/side.c
# finds: ring: put, one is about to sleep
/^static int sit_once/,/^}/s/\{guard, stands\}/{\&t->side->park, PARK_ARMED}/
