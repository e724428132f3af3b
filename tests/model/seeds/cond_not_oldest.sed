# notify() takes any waiter
# file: core/cond.c
# scenarios: cond-1 cond-twice cond-2
s/if (oldest == NULL || before(ticket_of(seen), ticket_of(\*word)))/if (1)/
