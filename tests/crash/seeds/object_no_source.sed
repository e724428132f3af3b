# take believes a reference that nobody alive holds
# file: src/core/object.c
# finds: object: take, stopped while the last holder
s/touch\(word, gen\) \&\& has_source\(index\)/touch(word, gen)/
