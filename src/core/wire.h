/* wire.h -- how messages are written down: the grammar, and one token of it at a time.

   Layout    a message is one value, and a list of buffers beside it.  A value is a tag
             and what its kind says.  The tag is a byte:
               bits 0-4  kind
               bits 5-6  the width of the number that follows: 1, 2, 4 or 8 bytes
               bit 7     SHARED: the value will be named again
             Numbers, floats and lengths are in the order of this machine's bytes, at any
             address: a message never leaves the family.
   Invariant AGAIN names a value that stands wholly before it, by the place of its tag:
             so values are shared, but never contain themselves.
   Trust     none: whatever the bytes are, a token lies within them, a value is no deeper
             than CMP_WIRE_DEPTH, and no more memory is needed than a small multiple of
             the message.  Each byte of the grammar is read once.  What the bytes of a
             string, the items of a set or a pickle are worth is for the reader to judge.
   If a process dies, Fork   nothing here is shared.  */
#ifndef CMP_WIRE_H
#define CMP_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include "cmp.h"

enum cmp_kind {
    CMP_KIND_NONE, /* these three: the tag alone */
    CMP_KIND_FALSE,
    CMP_KIND_TRUE,
    CMP_KIND_INT,       /* a signed number */
    CMP_KIND_BIGINT,    /* number n; n bytes, two's complement, the lowest first */
    CMP_KIND_FLOAT,     /* 8 bytes */
    CMP_KIND_COMPLEX,   /* 16 bytes */
    CMP_KIND_STR,       /* number n; n bytes of UTF-8, in which surrogates may be */
    CMP_KIND_BYTES,     /* number n; n bytes */
    CMP_KIND_BYTEARRAY,
    CMP_KIND_STR_OUT,   /* the next buffer, all of it */
    CMP_KIND_BYTES_OUT,
    CMP_KIND_BYTEARRAY_OUT,
    CMP_KIND_TUPLE,     /* number n; n values */
    CMP_KIND_LIST,
    CMP_KIND_SET,
    CMP_KIND_FROZENSET,
    CMP_KIND_DICT,      /* number n; n times two values, key and value */
    CMP_KIND_AGAIN,     /* number: where the tag of that value stands */
    CMP_KIND_PICKLE,    /* a whole message.  Number n; n times BYTES_OUT or BYTEARRAY_OUT,
                           the buffers of a pickle; BYTES or BYTES_OUT, the pickle */
    CMP_KIND_FOREIGN,   /* a whole message.  BYTES or BYTES_OUT, for the user's loads */
    CMP_N_KINDS
};

#define CMP_WIRE_KIND 0x1f
#define CMP_WIRE_WIDTH 5
#define CMP_WIRE_SHARED 0x80
#define CMP_WIRE_DEPTH 100 /* deeper objects are pickled */
#define CMP_WIRE_START_MAX 9 /* bytes of a tag and a number */

/* Bytes that somebody else keeps.  */
struct cmp_span {
    const void *data;
    size_t n;
};

/* The same as the next buffer: of STR, BYTES and BYTEARRAY.  */
static inline enum cmp_kind cmp_kind_out(enum cmp_kind kind)
{
    return kind + (CMP_KIND_STR_OUT - CMP_KIND_STR);
}

/* ---- writing -------------------------------------------------------------------- */

/* Write a tag and a number of 1 << width bytes.  How many bytes that are.  */
static inline size_t cmp_wire_put_wide(unsigned char *to, enum cmp_kind kind, unsigned width,
                                       uint64_t number)
{
    uint16_t two = (uint16_t)number;
    uint32_t four = (uint32_t)number;

    to[0] = (unsigned char)(kind | width << CMP_WIRE_WIDTH);
    switch (width) {
    case 0: to[1] = (unsigned char)number; return 2;
    case 1: memcpy(to + 1, &two, 2); return 3;
    case 2: memcpy(to + 1, &four, 4); return 5;
    default: memcpy(to + 1, &number, 8); return 9;
    }
}

static inline size_t cmp_wire_put(unsigned char *to, enum cmp_kind kind, uint64_t number)
{
    unsigned width = number <= UINT8_MAX ? 0 : number <= UINT16_MAX ? 1 : number <= UINT32_MAX ? 2 : 3;
    return cmp_wire_put_wide(to, kind, width, number);
}

static inline size_t cmp_wire_put_int(unsigned char *to, int64_t number)
{
    unsigned width = number == (int8_t)number ? 0 : number == (int16_t)number ? 1 :
                     number == (int32_t)number ? 2 : 3;
    return cmp_wire_put_wide(to, CMP_KIND_INT, width, (uint64_t)number);
}

/* ---- reading -------------------------------------------------------------------- */

struct cmp_reader {
    const unsigned char *start, *at, *end;
    const struct cmp_span *buffers; /* the next one */
    size_t n_buffers;               /* that are left */
    size_t promised;                /* values of containers that are still to come, a byte each at least */
    unsigned depth;
};

struct cmp_token {
    enum cmp_kind kind;
    bool shared;
    size_t at;        /* where its tag stands */
    int64_t integer;  /* of INT */
    size_t n;         /* the number of any other kind; of FLOAT to BYTEARRAY_OUT bytes at data */
    const void *data;
};

static inline void cmp_wire_open(struct cmp_reader *r, const void *head, size_t n,
                                 const struct cmp_span *buffers, size_t n_buffers)
{
    const unsigned char *start = head;
    *r = (struct cmp_reader){start, start, start + n, buffers, n_buffers, 0, 0};
}

static inline size_t cmp_wire_left(const struct cmp_reader *r)
{
    return (size_t)(r->end - r->at);
}

static inline int cmp_wire_number(struct cmp_reader *r, unsigned width, uint64_t *number)
{
    uint16_t two;
    uint32_t four;

    if (cmp_wire_left(r) < (size_t)1 << width)
        return -EBADMSG;
    switch (width) {
    case 0: *number = *r->at; break;
    case 1: memcpy(&two, r->at, 2); *number = two; break;
    case 2: memcpy(&four, r->at, 4); *number = four; break;
    default: memcpy(number, r->at, 8); break;
    }
    r->at += (size_t)1 << width;
    return 0;
}

static inline int64_t cmp_wire_signed(unsigned width, uint64_t number)
{
    switch (width) {
    case 0: return (int8_t)number;
    case 1: return (int16_t)number;
    case 2: return (int32_t)number;
    default: return (int64_t)number;
    }
}

static inline int cmp_wire_bytes(struct cmp_reader *r, struct cmp_token *t, uint64_t n)
{
    if (n > cmp_wire_left(r))
        return -EBADMSG;
    t->data = r->at;
    t->n = (size_t)n;
    r->at += n;
    return 0;
}

static inline int cmp_wire_buffer(struct cmp_reader *r, struct cmp_token *t)
{
    if (r->n_buffers == 0)
        return -EBADMSG;
    t->data = r->buffers->data;
    t->n = r->buffers->n;
    r->buffers++;
    r->n_buffers--;
    return 0;
}

/* A container says how many values follow: all of them together are not more than bytes are left.  */
static inline int cmp_wire_promise(struct cmp_reader *r, struct cmp_token *t, uint64_t n, unsigned values_each)
{
    size_t left = cmp_wire_left(r);
    if (r->promised > left || n > (left - r->promised) / values_each)
        return -EBADMSG;
    t->n = (size_t)n;
    r->promised += t->n * values_each;
    return 0;
}

static inline bool cmp_kind_has_number(enum cmp_kind kind)
{
    const uint32_t those = 1u << CMP_KIND_INT | 1u << CMP_KIND_BIGINT | 1u << CMP_KIND_STR |
                           1u << CMP_KIND_BYTES | 1u << CMP_KIND_BYTEARRAY | 1u << CMP_KIND_TUPLE |
                           1u << CMP_KIND_LIST | 1u << CMP_KIND_SET | 1u << CMP_KIND_FROZENSET |
                           1u << CMP_KIND_DICT | 1u << CMP_KIND_AGAIN | 1u << CMP_KIND_PICKLE;
    return those >> kind & 1;
}

/* What a pickle would remember, and so name again.  */
static inline bool cmp_kind_may_be_shared(enum cmp_kind kind)
{
    return kind >= CMP_KIND_COMPLEX && kind <= CMP_KIND_DICT;
}

/* Whether a message is a whole pickle, of whatever kind: for Python alone to read.  */
static inline bool cmp_wire_is_pickle(const void *head, size_t n)
{
    unsigned kind = n == 0 ? CMP_KIND_NONE : *(const unsigned char *)head & CMP_WIRE_KIND;
    return kind == CMP_KIND_PICKLE || kind == CMP_KIND_FOREIGN;
}

/* Read the next token.  Of a container that is its tag and number: its n values follow,
   which need at least as many bytes.  0; -EBADMSG: this is no token, or not all of it.  */
static inline int cmp_wire_next(struct cmp_reader *r, struct cmp_token *t)
{
    uint64_t number = 0;

    if (r->at == r->end)
        return -EBADMSG;
    r->promised -= r->promised > 0;
    t->at = (size_t)(r->at - r->start);
    unsigned tag = *r->at++, width = tag >> CMP_WIRE_WIDTH & 3;
    t->kind = tag & CMP_WIRE_KIND;
    t->shared = (tag & CMP_WIRE_SHARED) != 0;
    if (t->kind >= CMP_N_KINDS || (t->shared && !cmp_kind_may_be_shared(t->kind)))
        return -EBADMSG;
    if (!cmp_kind_has_number(t->kind) ? width != 0 : cmp_wire_number(r, width, &number) < 0)
        return -EBADMSG;
    switch (t->kind) {
    case CMP_KIND_INT:
        t->integer = cmp_wire_signed(width, number);
        return 0;
    case CMP_KIND_FLOAT:
        return cmp_wire_bytes(r, t, 8);
    case CMP_KIND_COMPLEX:
        return cmp_wire_bytes(r, t, 16);
    case CMP_KIND_BIGINT: case CMP_KIND_STR: case CMP_KIND_BYTES: case CMP_KIND_BYTEARRAY:
        return cmp_wire_bytes(r, t, number);
    case CMP_KIND_STR_OUT: case CMP_KIND_BYTES_OUT: case CMP_KIND_BYTEARRAY_OUT:
        return cmp_wire_buffer(r, t);
    case CMP_KIND_DICT:
        return cmp_wire_promise(r, t, number, 2);
    case CMP_KIND_TUPLE: case CMP_KIND_LIST: case CMP_KIND_SET: case CMP_KIND_FROZENSET:
        return cmp_wire_promise(r, t, number, 1);
    case CMP_KIND_AGAIN:
        t->n = (size_t)number;
        return number >= t->at ? -EBADMSG : 0;
    case CMP_KIND_PICKLE:
        t->n = (size_t)number;
        return number > r->n_buffers ? -EBADMSG : 0;
    default:
        return 0;
    }
}

/* Around the values of a container.  0; -EBADMSG: it is too deep.  */
static inline int cmp_wire_enter(struct cmp_reader *r)
{
    return ++r->depth > CMP_WIRE_DEPTH ? -EBADMSG : 0;
}

static inline void cmp_wire_leave(struct cmp_reader *r)
{
    r->depth--;
}

/* After the value.  0; -EBADMSG: something is left over.  */
static inline int cmp_wire_close(const struct cmp_reader *r)
{
    return r->at != r->end || r->n_buffers != 0 ? -EBADMSG : 0;
}

/* ---- shared values ---------------------------------------------------------------- */

/* What a reader has made of the shared values so far, by the places of their tags.  */
struct cmp_mark {
    size_t at;
    void *made; /* NULL until the value is complete */
};

struct cmp_marks {
    struct cmp_mark *all; /* ascending */
    size_t n, room;
};

/* A shared value begins at this place, which lies behind all others; *index is for
   cmp_marks_set.  0; -ENOMEM.  */
int cmp_marks_add(struct cmp_marks *m, size_t at, size_t *index);

/* It is complete.  */
static inline void cmp_marks_set(struct cmp_marks *m, size_t index, void *made)
{
    m->all[index].made = made;
}

/* What was made of it; NULL: no complete shared value stands there.  */
void *cmp_marks_find(const struct cmp_marks *m, size_t at);

void cmp_marks_free(struct cmp_marks *m);

#endif /* CMP_WIRE_H */
