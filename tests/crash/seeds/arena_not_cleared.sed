# what the dead had written to is free as it is
# file: src/core/extent.c
# finds: arena: recover
/^int cmp_extent_recover/,/^}/s/clear_claim\(e\)/free_claim(e)/
