# a batch is committed item by item, and its first one twice as wide
# file: src/core/queue.c
# finds: queue: put of a batch, nobody waits
/^static int commit_put/,/^}/s/^    write_place\(&c->put_place\[end & 1\].*/    struct place p = op->p; p.at -= (uint64_t)(op->n_put - 1) * (op->n_bytes \/ (uint64_t)op->n_put); if (op->n_put > 1) { uint64_t one = position_after(at, 1); write_place(\&c->put_place[one \& 1], \&p); cmp_side_commit(\&c->put, \&c->get, one); end = position_after(one, (uint64_t)op->n_put - 1); }\n&/
