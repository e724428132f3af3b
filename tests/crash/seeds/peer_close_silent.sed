# who closes an end wakes nobody
# file: src/core/channel.c
# finds: channel: the last other end is closed, 1 waits
/^static void rouse_all/,/^}/s/^        cmp_side_rouse.*//
