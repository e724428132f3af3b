/* Description: whatever the bytes are, the tokens of a message lie within them and within its
   buffers, values are no deeper than allowed, and AGAIN names a complete value before it.

   The first byte of the input says how many buffers there are, of 0, 1, ... bytes.  */
#include <stdlib.h>
#include "../../src/core/wire.h"

#define BUFFERS 4

static volatile unsigned char sink;

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* Each byte is read, so that AddressSanitizer sees where it lies. */
static void touch(const struct cmp_token *t)
{
    for (size_t i = 0; i < t->n; i++)
        sink = ((const unsigned char *)t->data)[i];
}

static int walk(struct cmp_reader *r, struct cmp_marks *m);

static int walk_values(struct cmp_reader *r, struct cmp_marks *m, size_t n)
{
    must(n <= cmp_wire_left(r));
    int rc = cmp_wire_enter(r);
    must(rc < 0 || r->depth <= CMP_WIRE_DEPTH);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = walk(r, m);
    cmp_wire_leave(r);
    return rc;
}

static int walk_token(struct cmp_reader *r, struct cmp_marks *m, const struct cmp_token *t)
{
    switch (t->kind) {
    case CMP_KIND_NONE: case CMP_KIND_FALSE: case CMP_KIND_TRUE: case CMP_KIND_INT:
        return 0;
    case CMP_KIND_TUPLE: case CMP_KIND_LIST: case CMP_KIND_SET: case CMP_KIND_FROZENSET:
        return walk_values(r, m, t->n);
    case CMP_KIND_DICT:
        return walk_values(r, m, 2 * t->n);
    case CMP_KIND_AGAIN:
        return cmp_marks_find(m, t->n) == NULL ? -EBADMSG : 0;
    case CMP_KIND_PICKLE: case CMP_KIND_FOREIGN:
        return -EBADMSG; /* for decode.c: no grammar of its own */
    default:
        touch(t);
        return 0;
    }
}

static int walk(struct cmp_reader *r, struct cmp_marks *m)
{
    struct cmp_token t;
    size_t index, n_marks = m->n;

    if (cmp_wire_next(r, &t) < 0)
        return -EBADMSG;
    must(r->promised <= (size_t)(r->end - r->start)); /* or memory would be needed for more */
    must(r->at <= r->end && t.at < (size_t)(r->at - r->start));
    if (t.shared)
        must(cmp_marks_add(m, t.at, &index) == 0 && index == n_marks);
    int rc = walk_token(r, m, &t);
    must(!t.shared || cmp_marks_find(m, t.at) == NULL); /* not complete before now */
    if (t.shared)
        cmp_marks_set(m, index, m);
    return rc;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
    unsigned char bytes[BUFFERS];
    struct cmp_span buffers[BUFFERS];
    struct cmp_marks m = {NULL, 0, 0};
    struct cmp_reader r;

    if (n == 0)
        return -1;
    for (size_t i = 0; i < BUFFERS; i++)
        buffers[i] = (struct cmp_span){bytes, i};
    cmp_wire_open(&r, data + 1, n - 1, buffers, data[0] % (BUFFERS + 1));
    if (walk(&r, &m) == 0 && cmp_wire_close(&r) == 0)
        must(r.depth == 0);
    cmp_marks_free(&m);
    return 0;
}
