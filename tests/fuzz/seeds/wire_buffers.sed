# Nobody counts the buffers.
# file: src/core/wire.h
# target: wire
s/if \(r->n_buffers == 0\)$/if (r->buffers == NULL)/
