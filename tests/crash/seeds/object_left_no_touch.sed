# an object that goes into a record is not touched
# file: src/core/object.c
# finds: ring: sweep, stopped while an object is put
/^static void leave_one/,/^}/s/^    touch\(.*//
