# an end that came is dropped, and nobody is told
# file: src/core/channel.c
# finds: channel: get of an end, dropped, 2 wait for its end
/^void cmp_channel_drop/,/^}/s/moved\.ref != 0/false/
