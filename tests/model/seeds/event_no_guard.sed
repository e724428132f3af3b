# the count is no guard
# file: core/event.c
# scenarios: event-set event-pulse event-setters
s/{&w->event->count, w->seen}/{\&w->event->cpu, load_relaxed(\&w->event->cpu)}/
