# no pending word in a commit
# file: src/core/side.c
# finds: ring: put, 1 waits
# finds: ring: get, full, 1 waits
/^void cmp_side_publish/,/^}/s/cmp_pending\(&other->park\);//
