# a sweep does not look into rings
# file: src/core/object.c
# finds: ring: put of an object, its maker killed
/^void cmp_object_each_ref/,/^}/s/cmp_channel_each_ref\(.*/;/
