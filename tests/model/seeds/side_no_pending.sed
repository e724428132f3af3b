# no pending word in a commit
# file: core/side.c
# scenarios: side-get
/^void cmp_side_publish/,/^}/s/cmp_pending(&other->park);//
