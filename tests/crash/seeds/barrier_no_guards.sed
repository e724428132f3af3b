# an arrival can go unseen before a sleep
# file: src/core/barrier.c
# finds: barrier: a party killed while another
/^static int look/,/^}/s/cmp_vigil_guard\(&y->vigil, half\(&b->arrival\[i\], true\), \(uint32_t\)\(seen >> 32\)\);/;/
