# NOSOURCE: a pickle is believed although nobody alive holds the object
# file: core/object.c
# scenarios: life-cond life-take
s/touch(word, gen) && has_source(index)/touch(word, gen)/
