# a consumer's count grows after the commit
# file: src/core/queue.c
# finds: queue: get and done, 2 join, its items are lost
/^static int get_locked/,/^}/{
s/^        cmp_tasks_take.*/        ;/
s/^    cmp_side_commit\(&c->get.*/&\n    if (op->q->counts) cmp_tasks_take(\&c->tasks, (uint32_t)op->n_got);/
}
