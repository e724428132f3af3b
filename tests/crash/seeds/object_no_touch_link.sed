# a link does not touch
# file: src/core/object.c
# finds: sweep: stopped while an object is linked
/^static bool link_locked/,/^}/s/touch\(cmp_view_word.*\);//
