# an object that comes out of a record is not touched
# file: src/core/object.c
# finds: ring: sweep, stopped while an object is got
/^static int arrive_anew/,/^}/s/!touch\(cmp_view_word\(v, index\), gen_of\(ref\)\)/!is_live(load64_relaxed(cmp_view_word(v, index)), gen_of(ref))/
