# NO_BIRTHLOCK: an unborn child's slot is never given up
# file: core/slot.c
# scenarios: life-fork
s/return nobody_bears(number) &&/return false \&\&/
