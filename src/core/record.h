/* record.h -- one message as a record in a strip of bytes: for ring.c and queue.c.

   Layout    a strip is a number of bytes, a power of two, which is gone round and round: the byte
             at position p is at p % cap.  A record begins at a multiple of 8:
               word 0    bytes32 | tag16 | refs8 | kind8
               refs      so many references, as cmp_object_leave gives them
               payload   so many bytes, and up to 7 more
             kind PAD    nothing, to the end of the strip
             kind PLAIN  the payload is the message
             kind BLOCK  the first reference is the block (block.h) with the message, the payload
                         is the number of its bytes
             kind NEXT   the reference is the strip that comes after this one, the payload the
                         number of its bytes; see queue.h
             A record never wraps; a PAD and the record after it are one commit.  None is
             longer than cap / 4: what is goes by a block.
   Invariant a record that was committed changes no more, until it is taken out.  It
             holds what it names, be it the message's block or what a pickle in it names
             (src/python/way.h): an object in it lives as long as the strip does, whoever put
             it.  Put: the record is committed, objects touched, the sender's holds end.
             Get: the receiver holds them, objects are touched, the record is taken out.
   Ordering  the commit, and what takes out, are of the side (side.h).
   If a process dies
             before the commit: nothing was put; a block made for it is held by the dead alone
                                                                        record.put.named
             ... after it                           object.left.* and those of side.h
             holding what a record names, which is not taken out yet: it is there for the next
                                                         object.arrive.*, record.get.arrived
   Fork      holds in the hands of another thread stay with the child until it ends.

   Nothing in a strip is believed, see is_sound.  */
#ifndef CMP_RECORD_H
#define CMP_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include "cmp.h"
#include "object.h"
#include "side.h"

#define CMP_RECORD_REFS 31 /* in one record, a block included */

struct cmp_part {
    const void *bytes;
    size_t n;
};

/* A message to be put: parts one after the other, or the first `bytes` bytes of a block that
   the caller holds; and objects that go with it.  One hold of each, block included, goes to
   the receiver, so hold first what is to be kept too.  */
struct cmp_outgoing {
    const struct cmp_part *parts;
    int n_parts;
    cmp_ref block; /* 0: parts */
    uint64_t bytes;
    const cmp_ref *refs;
    int n_refs; /* less than CMP_RECORD_REFS */
    uint16_t tag; /* for the receiver */
};

/* A message that was got.  */
struct cmp_incoming {
    uint64_t bytes;
    const void *data; /* in the caller's buffer, or in the block */
    cmp_ref block;    /* 0: none.  Held: drop it when the data was copied */
    uint16_t tag;
    int n_refs;
    cmp_ref refs[CMP_RECORD_REFS]; /* held once each */
};

/* Let go of all that a message has brought.  */
void cmp_incoming_drop(struct cmp_incoming *m);

/* ---- for ring.c and queue.c ---------------------------------------------------------- */

enum cmp_record_kind { CMP_RECORD_PAD = 1, CMP_RECORD_PLAIN, CMP_RECORD_BLOCK, CMP_RECORD_NEXT };

struct cmp_strip {
    cmp_word64 *words;
    uint32_t cap;
};

struct cmp_record {
    uint32_t bytes;
    uint32_t tag;
    uint32_t n_refs;
    uint32_t kind;
};

static inline uint64_t cmp_record_length(const struct cmp_record *h)
{
    return 8 + 8 * (uint64_t)h->n_refs + (((uint64_t)h->bytes + 7) & ~UINT64_C(7));
}

static inline cmp_word64 *cmp_strip_at(const struct cmp_strip *s, uint64_t at)
{
    return &s->words[(at & (s->cap - 1)) / 8];
}

static inline uint64_t cmp_strip_left(const struct cmp_strip *s, uint64_t at)
{
    return s->cap - (at & (s->cap - 1));
}

/* What a record of that length takes at that position, with the PAD before it.  */
static inline uint64_t cmp_strip_room(const struct cmp_strip *s, uint64_t at, uint64_t length)
{
    uint64_t left = cmp_strip_left(s, at);
    return length > left ? left + length : length;
}

/* A message, ready to become a record.  */
struct cmp_draft {
    struct cmp_outgoing m;
    struct cmp_record record;
    bool is_copied; /* into a block of its own */
    cmp_ref refs[CMP_RECORD_REFS]; /* that go into the record, the block first */
};

/* Make one of *m, which must live as long; by a block if the record would be longer than
   `longest`.  0, -ENOMEM or another -errno of cmp_block_create; -E2BIG: too many references.
   And: it was not put after all.  */
int cmp_draft_make(struct cmp_draft *d, const struct cmp_outgoing *m, uint64_t longest);
void cmp_draft_undo(struct cmp_draft *d);

/* Whether a message becomes one record of that length at most, and names nothing.  */
bool cmp_outgoing_is_plain(const struct cmp_outgoing *m, uint64_t longest);

/* Write the record, but for what it names, and the PAD before it.  Where its references go.  */
cmp_word64 *cmp_draft_write(const struct cmp_draft *d, const struct cmp_strip *s, uint64_t at);

/* Commit `side` at `end`: what was written there names refs[i] at *where[i], and one hold of
   each goes with it.  0; -EINVAL: one of them is not held.  */
int cmp_record_commit(struct cmp_side *side, struct cmp_side *other, uint64_t end,
                      const cmp_ref *refs, cmp_word64 *const *where, int n);

/* The record at *at, or behind the PAD there: then *at is that place.  n: so many bytes of
   the strip may belong to it.  0 or -EUCLEAN.  */
int cmp_record_find(const struct cmp_strip *s, uint64_t *at, uint64_t n, struct cmp_record *h);

/* Copy what was found, payload into the buffer, references as they are named.  */
void cmp_record_copy(const struct cmp_strip *s, uint64_t at, const struct cmp_record *h,
                     void *buffer, struct cmp_incoming *m);

/* Hold what a copy names, before it is taken out.  0; -ESTALE, -EINVAL: that cannot be, nothing
   is held; or as cmp_object_arrive.  */
int cmp_record_arrive(struct cmp_incoming *m, const struct cmp_record *h);
static inline bool cmp_record_is_damaged(int rc)
{
    return rc == -ESTALE || rc == -EINVAL;
}

/* It was taken out: where its data are, if they lie in a block.  0; -ESTALE: nowhere, and all
   was let go.  */
int cmp_record_open(struct cmp_incoming *m);

/* What is at `at`, for who looks beside others, and believes it only if it is still there
   after that.  refs: room for CMP_RECORD_REFS.  Its length; 0: that is no record.  */
uint64_t cmp_record_look(const struct cmp_strip *s, uint64_t at, uint64_t n,
                         struct cmp_record *h, cmp_ref *refs);

/* The payload of a BLOCK or NEXT, a number of bytes. */
static inline uint64_t cmp_record_number(const struct cmp_strip *s, uint64_t at,
                                         const struct cmp_record *h)
{
    return load64_acquire(cmp_strip_at(s, at) + 1 + h->n_refs);
}

#endif /* CMP_RECORD_H */
