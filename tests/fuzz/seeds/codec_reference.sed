# What is shared is not referred to, and gone with its first place.
# file: src/python/decode.c
# target: codec
s/cmp_marks_set\(&d->marks, mark, Py_NewRef\(value\)\)/cmp_marks_set(\&d->marks, mark, value)/
