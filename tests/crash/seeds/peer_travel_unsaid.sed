# who puts an end into a record does not tell who watches him
# file: src/core/channel.c
# finds: channel: get of an end, 2 wait for its end
/^void cmp_channel_tell/,/^}/s/^            rouse_all.*/            ;/
