# who puts an end into a record does not hold the channel of which he tells
# file: src/core/channel.c
# finds: channel: put of an end, stopped while its channel goes
/^int cmp_channel_put/,/^}/{
s/^    forget_ends\(moved, n\);$//
s/^    if \(rc == 0\)$/    forget_ends(moved, n);\n    if (rc == 0)/
}
