# who puts an end into a record does not hold the channel of which he tells
# file: src/core/channel.c
# finds: channel: put of an end, stopped while its channel goes
/^void cmp_channel_tell/,/^}/s/^    forget_ends\(moved, n\);$//
/^int cmp_channel_put/,/^}/s/^    rc = cmp_ring_put/    forget_ends(moved, m->n_refs);\n    rc = cmp_ring_put/
