# who closes an end asks before that whether somebody waits
# file: src/core/channel.c
# finds: channel: close, stopped while one comes to wait
/^void cmp_channel_close/,/^}/{
s/^    cmp_object_drop\(end->ref\);/    uint32_t park = load_seqcst(\&end->out.ring->get.park);\n    cmp_object_drop(end->ref);/
s/^    rouse_all/    if (park != 0)\n        rouse_all/
}
