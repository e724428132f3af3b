# older waiters are not watched
# file: core/cond.c
# scenarios: cond-2
s/bool matters = .*;/bool matters = false;/
