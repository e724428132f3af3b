# an end in a record counts as closed
# file: src/core/object.c
# finds: channel: put of an end, 2 wait for its end
/^void cmp_object_each_taker/,/^}/s/cmp_channel_each_taker\(.*/;/
