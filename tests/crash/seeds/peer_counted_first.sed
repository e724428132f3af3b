# who closes an end says so before it is true
# file: src/core/channel.c
# finds: channel: closed while one is about to sleep
/^void cmp_channel_close/,/^}/{
s/^    cmp_object_drop\(end->ref\);/    rouse_all(end->channel, \&s);/
s/^    rouse_all\(end->channel, &s\);$/    cmp_object_drop(end->ref);/
}
