#include "record.h"
#include <string.h>
#include "block.h"
#include "owner.h"

static uint64_t word_of(const struct cmp_record *h)
{
    return (uint64_t)h->bytes << 32 | (h->tag & 0xffff) << 16 | h->n_refs << 8 | h->kind;
}

static struct cmp_record record_of(uint64_t word)
{
    return (struct cmp_record){(uint32_t)(word >> 32), (uint32_t)word >> 16,
                               (uint32_t)word >> 8 & 0xff, (uint32_t)word & 0xff};
}

/* Whether a record can be that, with so many bytes of the strip from its beginning on. */
static bool is_sound(const struct cmp_strip *s, const struct cmp_record *h, uint64_t at, uint64_t n)
{
    uint64_t length = cmp_record_length(h);
    if (h->kind == CMP_RECORD_PAD)
        return h->n_refs == 0 && length == cmp_strip_left(s, at) && length < n;
    return (h->kind == CMP_RECORD_PLAIN ||
            (h->kind == CMP_RECORD_BLOCK && h->n_refs > 0 && h->bytes == 8) ||
            (h->kind == CMP_RECORD_NEXT && h->n_refs == 1 && h->bytes == 8)) &&
           h->n_refs <= CMP_RECORD_REFS && length <= s->cap / 4 &&
           length <= cmp_strip_left(s, at) && length <= n;
}

/* ---- put ---------------------------------------------------------------------------------- */

static uint64_t sum_of(const struct cmp_outgoing *m)
{
    uint64_t n = 0;
    for (int i = 0; i < m->n_parts; i++)
        n += m->parts[i].n;
    return n;
}

static void write_parts(char *to, const struct cmp_outgoing *m)
{
    for (int i = 0; i < m->n_parts; i++)
        if (m->parts[i].n > 0) {
            memcpy(to, m->parts[i].bytes, m->parts[i].n);
            to += m->parts[i].n;
        }
}

static void add_block(struct cmp_draft *d, cmp_ref block)
{
    d->record.kind = CMP_RECORD_BLOCK;
    d->record.bytes = 8;
    d->record.n_refs++;
    memmove(d->refs + 1, d->refs, (size_t)d->m.n_refs * sizeof d->refs[0]);
    d->refs[0] = block;
}

/* The copy is made where nobody waits for it. */
static int copy_to_block(struct cmp_draft *d)
{
    cmp_ref block;
    void *cell, *data;

    int rc = cmp_block_create(d->m.bytes, false, &block, &cell, &data);
    if (rc < 0)
        return rc;
    write_parts(data, &d->m);
    d->is_copied = true;
    add_block(d, block);
    return 0;
}

int cmp_draft_make(struct cmp_draft *d, const struct cmp_outgoing *m, uint64_t longest)
{
    if (m->n_refs < 0 || m->n_refs >= CMP_RECORD_REFS)
        return -E2BIG;
    d->m = *m;
    d->is_copied = false;
    d->record = (struct cmp_record){.tag = m->tag, .n_refs = (uint32_t)m->n_refs,
                                    .kind = CMP_RECORD_PLAIN};
    for (int i = 0; i < m->n_refs; i++)
        d->refs[i] = m->refs[i];
    if (m->block != 0) {
        add_block(d, m->block);
        return 0;
    }
    d->m.bytes = sum_of(m);
    if (d->m.bytes + 8 * ((uint64_t)m->n_refs + 1) > longest)
        return copy_to_block(d);
    d->record.bytes = (uint32_t)d->m.bytes;
    return 0;
}

bool cmp_outgoing_is_plain(const struct cmp_outgoing *m, uint64_t longest)
{
    return m->n_refs == 0 && m->block == 0 && sum_of(m) + 8 <= longest;
}

void cmp_draft_undo(struct cmp_draft *d)
{
    if (d->is_copied)
        cmp_object_drop(d->refs[0]);
}

cmp_word64 *cmp_draft_write(const struct cmp_draft *d, const struct cmp_strip *s, uint64_t at)
{
    uint64_t left = cmp_strip_left(s, at);
    if (cmp_record_length(&d->record) > left) {
        struct cmp_record pad = {.bytes = (uint32_t)left - 8, .kind = CMP_RECORD_PAD};
        store64_release(cmp_strip_at(s, at), word_of(&pad));
        at += left;
    }
    cmp_word64 *words = cmp_strip_at(s, at), *payload = words + 1 + d->record.n_refs;
    /* SYNC release: after the look at where get is; pairs with cmp_record_look. */
    store64_release(words, word_of(&d->record));
    if (d->record.kind != CMP_RECORD_PLAIN)
        store64_relaxed(payload, d->m.bytes);
    else
        write_parts((char *)(void *)payload, &d->m);
    return words + 1;
}

/* The process lock is held over the commit: nobody here sees an object both in the record and
   in the sender's hands, so a cell that the receiver has freed is taken only after that.  */
int cmp_record_commit(struct cmp_side *side, struct cmp_side *other, uint64_t end,
                      const cmp_ref *refs, cmp_word64 *const *where, int n)
{
    cmp_ref named[CMP_RECORD_REFS + 1];

    cmp_process_lock();
    int rc = cmp_object_leave(refs, n, named);
    if (rc == 0) {
        for (int i = 0; i < n; i++)
            store64_relaxed(where[i], named[i]);
        CMP_HOOK("record.put.named");
        cmp_side_publish(side, other, end);
        cmp_object_left(refs, n);
    }
    cmp_process_unlock();
    if (rc == 0)
        cmp_side_announce(side, other);
    return rc;
}

/* ---- get ---------------------------------------------------------------------------------- */

int cmp_record_find(const struct cmp_strip *s, uint64_t *at, uint64_t n, struct cmp_record *h)
{
    *h = record_of(load64_relaxed(cmp_strip_at(s, *at)));
    if (h->kind == CMP_RECORD_PAD && is_sound(s, h, *at, n)) {
        n -= cmp_strip_left(s, *at);
        *at += cmp_strip_left(s, *at);
        *h = record_of(load64_relaxed(cmp_strip_at(s, *at)));
        if (h->kind == CMP_RECORD_PAD)
            return -EUCLEAN;
    }
    return is_sound(s, h, *at, n) ? 0 : -EUCLEAN;
}

void cmp_record_copy(const struct cmp_strip *s, uint64_t at, const struct cmp_record *h,
                     void *buffer, struct cmp_incoming *m)
{
    cmp_word64 *refs = cmp_strip_at(s, at) + 1;

    m->bytes = h->bytes;
    m->data = buffer;
    m->block = 0;
    m->tag = (uint16_t)h->tag;
    m->n_refs = (int)h->n_refs;
    if (h->kind == CMP_RECORD_BLOCK)
        m->bytes = load64_relaxed(&refs[h->n_refs]);
    else
        memcpy(buffer, (char *)(void *)(refs + h->n_refs), h->bytes);
    for (int i = 0; i < m->n_refs; i++)
        m->refs[i] = load64_relaxed(&refs[i]);
}

int cmp_record_arrive(struct cmp_incoming *m, const struct cmp_record *h)
{
    int rc = 0;
    if (m->n_refs > 0) {
        rc = cmp_object_arrive(m->refs, m->n_refs);
        CMP_HOOK("record.get.arrived");
    }
    if (rc < 0)
        m->n_refs = 0;
    for (int i = 0; i < m->n_refs; i++)
        m->refs[i] &= ~CMP_REF_ALONE;
    if (rc == 0 && h->kind == CMP_RECORD_BLOCK) {
        m->block = m->refs[0];
        memmove(m->refs, m->refs + 1, (size_t)--m->n_refs * sizeof m->refs[0]);
    }
    return rc;
}

/* Whatever its size: a large block may have a short message. */
static int take_block(cmp_ref ref, uint64_t bytes, void **data)
{
    int rc = cmp_block_take(ref, (size_t)bytes, data);
    return rc == -EINVAL && bytes <= CMP_BLOCK_SMALL_MAX
               ? cmp_block_take(ref, CMP_BLOCK_SMALL_MAX + 1, data) : rc;
}

int cmp_record_open(struct cmp_incoming *m)
{
    void *data;
    if (m->block == 0)
        return 0;
    if (take_block(m->block, m->bytes, &data) < 0) {
        cmp_incoming_drop(m);
        return -ESTALE;
    }
    cmp_object_drop(m->block); /* once is enough */
    m->data = data;
    return 0;
}

void cmp_incoming_drop(struct cmp_incoming *m)
{
    if (m->block != 0)
        cmp_object_drop(m->block);
    for (int i = 0; i < m->n_refs; i++)
        cmp_object_drop(m->refs[i]);
    m->block = 0;
    m->n_refs = 0;
}

/* ---- looks ---------------------------------------------------------------------------------- */

uint64_t cmp_record_look(const struct cmp_strip *s, uint64_t at, uint64_t n,
                         struct cmp_record *h, cmp_ref *refs)
{
    /* SYNC acquire: before the caller's look at the position; who overwrites it has seen that
       position go on.  (By a payload: so on machines where all see a store at once.)  */
    *h = record_of(load64_acquire(cmp_strip_at(s, at)));
    if (!is_sound(s, h, at, n))
        return 0;
    for (uint32_t i = 0; i < h->n_refs; i++)
        refs[i] = load64_acquire(cmp_strip_at(s, at) + 1 + i);
    return cmp_record_length(h);
}
