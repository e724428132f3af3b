# who closes an end does not hold the channel of which he tells
# file: src/core/channel.c
# finds: channel: close, stopped while the channel goes
/^void cmp_channel_close/,/^}/{
s/^    cmp_object_drop\(end->channel_ref\);$//
s/^    cmp_object_drop\(end->ref\);/    cmp_object_drop(end->channel_ref);\n    cmp_object_drop(end->ref);/
}
