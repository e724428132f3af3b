# who sleeps in the seat does not watch the position
# file: core/side.c
# scenarios: side-get
/^static int sit_once/,/^}/s/{guard, stands}/{\&t->side->park, PARK_ARMED}/
