# an embryo is given what is not touched
# file: src/core/object.c
# finds: sweep: stopped while an object is given
/^static int give_locked/,/^}/s/touch\(cmp_view_word.*\);//
