# who recovers frees what a block names
# file: src/core/sweep.c
# finds: block: recover, stopped while others go on
/^static uint32_t kind_of/,/^}/s/: cmp_block_kind_of\(e\)/: 0/
