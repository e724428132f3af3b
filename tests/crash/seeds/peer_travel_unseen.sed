# an end in a record counts as closed
# file: src/core/object.c
# finds: channel: put of an end, 2 wait for its end
/^bool cmp_object_on_its_way/,/^}/s/return q\.found/return false/
