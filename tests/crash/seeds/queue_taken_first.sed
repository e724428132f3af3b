# items are taken out before they are copied
# file: src/core/queue.c
# finds: queue: get, full, 2 wait
/^static int get_locked/,/^}/{
s/^    rc = find_segment\(.*/&\n    cmp_side_commit(\&c->get, \&c->put, position_after(at, 1));/
s/^    cmp_side_commit\(&c->get, &c->put, end\);//
}
