# An unhashable key in a damaged message is a TypeError.
# file: src/python/decode.c
# target: codec
s/PyErr_ExceptionMatches\(PyExc_MemoryError\)/!PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)/
