# slots are not looked at again
# file: src/core/sweep.c
# finds: sweep: stopped while an object goes to a forked child
/^static void mark\(/,/^}/s/look_at_slots_again\(w\);//
