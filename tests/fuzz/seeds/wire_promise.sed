# Each container may promise as many values as bytes are left.
# file: src/core/wire.h
# target: wire
s/\(left - r->promised\) \/ values_each/left \/ values_each/
s/r->promised > left \|\| //
