# A length may be one byte more than there is.
# file: src/core/wire.h
# target: wire
s/if \(n > cmp_wire_left\(r\)\)$/if (n > cmp_wire_left(r) + 1)/
