# a record says that nobody else knows an object that the sender keeps
# file: src/core/object.c
# finds: ring: get of an object that is kept, too
/^int cmp_object_leave/,/^}/s/h->count == 1 && //
