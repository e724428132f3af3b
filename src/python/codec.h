/* codec.h -- Python objects as messages, and back.

   A message is a head, of bytes, and buffers beside it: what is contiguous and has
   PYCMP_LARGE bytes or more stays where it is until the channel copies it, once, into
   a block of the arena; and the reader copies it, once, into an object of its own.

   Objects of exactly None, bool, int, float, complex, str, bytes, bytearray, tuple, list,
   dict, set and frozenset are written by encode.c, in the grammar of core/wire.h.  If
   anything else is in an object, or it contains itself, or is deep, or changes meanwhile,
   then it is pickled as a whole, by multiprocessing's ForkingPickler (pickled.c).  What
   comes out is the same either way, shared references and their identity included.

   Python code may run in either direction, of the objects or of a finalizer: the caller
   holds no lock, and has copied a head out of a ring.  */
#ifndef PYCMP_CODEC_H
#define PYCMP_CODEC_H

#include "way.h"
#include "../core/wire.h"

#define PYCMP_LARGE ((Py_ssize_t)32 << 10)

struct pycmp_message {
    unsigned char *head; /* small, or of PyMem_RawMalloc */
    size_t used, room;
    size_t n_buffers;    /* each is one piece, but the last is all that are left */
    size_t n_pieces, piece_room;
    Py_buffer *pieces;
    struct pycmp_cargo *cargo; /* what its pickle names; NULL: nothing, or that is pinned */
    unsigned char small[512];
};

/* Write obj; by dumps(obj), which returns bytes or the like, unless that is NULL.  carries: what
   pickles name goes along as the message's cargo.  The message is the caller's to free, with the
   GIL, and must not be moved; a large bytearray cannot be resized till then.  0; -1 and an
   exception: there is no message.  */
int pycmp_encode(pycmp_state *st, struct pycmp_message *m, PyObject *obj, PyObject *dumps,
                 bool carries);
void pycmp_message_free(struct pycmp_message *m);

/* How many bytes buffer i has, and copy them.  Neither needs the GIL.  */
size_t pycmp_buffer_bytes(const struct pycmp_message *m, size_t i);
void pycmp_buffer_copy(const struct pycmp_message *m, size_t i, void *to);

/* Read a message; one that the sender's dumps has written by loads(bytes), NULL for
   pickle's.  Nothing of it is trusted.  Nothing refers to head and buffers when this returns.
   New reference; NULL and UnpicklingError, MemoryError, or whatever the objects or loads
   raise.  */
PyObject *pycmp_decode(pycmp_state *st, const void *head, size_t n, const struct cmp_span *buffers,
                       size_t n_buffers, PyObject *loads);

/* ---- for encode.c, decode.c and pickled.c: 0, or -1 and an exception ------------------ */

int pycmp_codec_init(pycmp_state *st);

/* At least n bytes behind the head; NULL and a MemoryError.  */
unsigned char *pycmp_message_grow(struct pycmp_message *m, size_t n);
static inline unsigned char *pycmp_message_room(struct pycmp_message *m, size_t n)
{
    return m->room - m->used >= n ? m->head + m->used : pycmp_message_grow(m, n);
}

static inline int pycmp_message_put(struct pycmp_message *m, enum cmp_kind kind, uint64_t number)
{
    unsigned char *to = pycmp_message_room(m, CMP_WIRE_START_MAX);
    if (to == NULL)
        return -1;
    m->used += cmp_wire_put(to, kind, number);
    return 0;
}

static inline int pycmp_message_tag(struct pycmp_message *m, enum cmp_kind kind)
{
    unsigned char *to = pycmp_message_room(m, 1);
    if (to == NULL)
        return -1;
    *to = (unsigned char)kind;
    m->used++;
    return 0;
}

/* Tag, length and bytes.  */
int pycmp_message_bytes(struct pycmp_message *m, enum cmp_kind kind, const void *data,
                        Py_ssize_t n);

/* One more piece of the last buffer, or of the next one.  Takes over the view, also if it
   fails.  */
int pycmp_message_attach(struct pycmp_message *m, Py_buffer *view);

/* STR, BYTES or BYTEARRAY with the bytes of a view; large ones as a buffer.  Takes over the
   view, also if it fails.  */
int pycmp_message_payload(struct pycmp_message *m, enum cmp_kind kind, Py_buffer *view);

/* Write it as a pickle; or as what dumps makes of it.  */
int pycmp_pickle(pycmp_state *st, struct pycmp_message *m, PyObject *obj);
int pycmp_dump_foreign(struct pycmp_message *m, PyObject *obj, PyObject *dumps);

/* Whether complex numbers are pickled as ever: nobody has registered a reducer.  1, 0, or -1
   and an exception.  */
int pycmp_complex_is_plain(pycmp_state *st);

/* The object that pickle.loads, or loads, makes of a pickle; buffers: a list.  */
PyObject *pycmp_unpickle(pycmp_state *st, const void *data, size_t n, PyObject *buffers);
PyObject *pycmp_load_foreign(pycmp_state *st, const void *data, size_t n, PyObject *loads);

#endif /* PYCMP_CODEC_H */
