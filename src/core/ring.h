/* ring.h -- records of any length through a bounded ring of bytes, from many to many.

   Layout    struct cmp_ring, 448 bytes, and behind it `cap` bytes, a power of two.
               put, get  the two sides (side.h); positions count bytes, and the byte at
                         position p is at p % cap
               has_refs  a record with references was put once: sweeps must look
               polled    somebody asks a descriptor whether there are messages, see struct cmp_bell
               bell      0: it is silent, or the one who puts is about to tell; 1: it tells of
                         messages; 2: it may tell so of an empty ring
             Between get.at and put.at lie records (record.h).
   Invariant what lies between get.at and put.at is whole, and changes no more.  So there is
             nothing to repair, ever: a record was put, or was not; was got, or was not.
   Ordering  as side.h: what was written before a put is visible after the get.
   If a process dies
             putting, before its commit: the record was not put           ring.put.written
             ... after it: it was put                                  those of side.h
             getting, before its commit: the record is still there, the next one gets it
                                                                           ring.get.copied
             ... after it: that one message is lost; its block is held by the dead alone
                                                                    ring.got.out
             with a block in its hands: the same
             and what record.h says
   Fork      as record.h.

   Nothing in shared memory is believed: a length, kind or reference that cannot be gives
   -EUCLEAN (the ring is damaged for good) or -ESTALE (one record, which is skipped).  */
#ifndef CMP_RING_H
#define CMP_RING_H

#include <stdbool.h>
#include <stddef.h>
#include "cmp.h"
#include "object.h"
#include "peer.h"
#include "record.h"
#include "side.h"

#define CMP_RING_MIN UINT32_C(2048)
#define CMP_RING_MAX (UINT32_C(1) << 18)

struct cmp_ring {
    struct cmp_side put, get;
    cmp_word has_refs;
    cmp_word polled;
    cmp_word bell;
    uint32_t reserved[13];
    cmp_word64 words[];
};
_Static_assert(sizeof(struct cmp_ring) == 448, "shared layout");

/* How readiness becomes visible outside: a descriptor into which who puts writes a byte, and
   from which who gets reads.  Called with the lock of the side, so they must not wait; only
   once the ring is polled.  Whoever puts and whoever gets must have it then.
   From the beginning one byte must be there.  Then, if the ring is polled and not empty,
   there is at least one, but for the message of one who was killed between its commit and
   its byte: the next message brings that; so who waits for descriptors looks at the ring too,
   now and then.  (With the byte before the commit, the same death would leave a byte and no
   message, and who believes it would sleep in a get.)  Where it is empty there is none,
   but for what one has left who was killed, or stopped for long, at his byte: until the next
   time that it becomes empty or, for the latter, that somebody finds it so by cmp_ring_wait.
   Whenever it has become empty, the next message brings a byte, for watchers of edges.
   If a process dies: ring.bell.struck, .cleared: a byte too much; ring.bell.taken: as it
   should be; ring.poll.said: what another one's poll, or get, puts right.  */
struct cmp_bell {
    void *arg;
    void (*strike)(void *arg); /* write one byte, if there is room */
    int (*count)(void *arg);   /* how many are there to be read */
    void (*take)(void *arg, int n);
};

/* One process's access to a ring.  Any thread may use it.  */
struct cmp_port {
    struct cmp_ring *ring;
    uint32_t cap;          /* copied where it was checked */
    struct cmp_peer *peer; /* of the other side; NULL: there will always be one */
    const struct cmp_bell *bell; /* NULL: no descriptor is at hand */
};

/* How many bytes a ring of that capacity has.  */
static inline size_t cmp_ring_bytes(uint32_t cap)
{
    return sizeof(struct cmp_ring) + cap;
}

/* Whether that can be a capacity.  */
static inline bool cmp_ring_cap_is_sound(uint32_t cap)
{
    return cap >= CMP_RING_MIN && cap <= CMP_RING_MAX && (cap & (cap - 1)) == 0;
}

/* Format *r, empty.  Not concurrent with any other call on it.  */
void cmp_ring_init(struct cmp_ring *r);

/* The longest message, of n_refs references, that a record can have in itself: so long the
   buffers of those must be who get.  */
static inline uint32_t cmp_ring_plain_max(uint32_t cap)
{
    return cap / 4 - 8;
}

/* Put a message, whole or not at all.  0; -ETIMEDOUT: no room until the deadline; -EPIPE:
   nobody will ever get it; -EINTR; -ENOMEM: no memory for a block; -E2BIG: too many
   references; -EINVAL: a reference is not held; -EUCLEAN.  On failure nothing changed.  */
int cmp_ring_put(const struct cmp_port *p, const struct cmp_outgoing *m, int64_t deadline_ns);

/* Get the next message.  buffer: room for cmp_ring_plain_max bytes.  0; -ETIMEDOUT: there is
   none until the deadline; -EPIPE: nor will there be; -EINTR; -ENOMEM, -EUSERS: this process
   cannot hold what comes with it, which stays there; -ESTALE: this one was damaged, and is
   gone; -EUCLEAN: the ring is.  */
int cmp_ring_get(const struct cmp_port *p, void *buffer, struct cmp_incoming *m,
                 int64_t deadline_ns);

/* Where the ring ends now; and wait until all before that has been got.  0; -ETIMEDOUT; -EINTR;
   -EPIPE: it has not, and nobody is left to get it.  */
uint64_t cmp_ring_end(const struct cmp_port *p);
int cmp_ring_wait_got(const struct cmp_port *p, uint64_t end, int64_t deadline_ns);

/* Wait until there is a message.  As cmp_ring_get.  */
int cmp_ring_wait(const struct cmp_port *p, int64_t deadline_ns);

/* How long the next message is, if another process is not faster.  As cmp_ring_get.  */
int cmp_ring_peek(const struct cmp_port *p, uint64_t *bytes, int64_t deadline_ns);

/* Of who gets: from now on and for ever the bell tells whether there are messages.  0 or
   as cmp_ring_get.  */
int cmp_ring_poll(const struct cmp_port *p);

/* Bytes that are in the ring, records with all they have.  */
uint64_t cmp_ring_fill(struct cmp_ring *r);

/* ---- for channel.c -------------------------------------------------------------------- */

/* Call visit for every reference in records.  Beside who puts and gets: what is named
   now and is still there at the end is visited.  */
void cmp_ring_each_ref(struct cmp_ring *r, uint32_t cap,
                       void (*visit)(void *arg, cmp_ref ref), void *arg);

/* Verify what holds at any moment.  NULL, or what is wrong.  */
const char *cmp_ring_check(struct cmp_ring *r, uint32_t cap);

#endif /* CMP_RING_H */
