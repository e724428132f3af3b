# a repair does not wake the notified
# file: core/cond.c
# scenarios: cond-2
s/if (is_noted(seen) && waiter != own)/if (0)/
