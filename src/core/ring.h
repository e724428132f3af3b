/* ring.h -- records of any length through a bounded ring of bytes, from many to many.

   Layout    struct cmp_ring, 448 bytes, and behind it `cap` bytes, a power of two.
               put, get  the two sides (side.h); positions count bytes, and the byte at
                         position p is at p % cap
               has_refs  a record with references was put once: sweeps must look
               polled    somebody asks a descriptor whether there are messages, see struct cmp_bell
               bell      0: it is silent, or the one who puts is about to tell; 1: it tells of
                         messages; 2: it may tell so of an empty ring
             Between get.at and put.at lie records, each at a multiple of 8:
               word 0    bytes32 | tag16 | refs8 | kind8
               refs      so many references, as cmp_object_leave gives them
               payload   so many bytes, and up to 7 more
             kind PAD    nothing, to the end of the ring
             kind PLAIN  the payload is the message
             kind BLOCK  the first reference is the block (block.h) with the message, the payload
                         is the number of its bytes
             A record never wraps; a PAD and the record after it are one commit.  None is
             longer than cap / 4: what is goes by a block.
   Invariant what lies between get.at and put.at is whole, and changes no more.  So there is
             nothing to repair, ever: a record was put, or was not; was got, or was not.
             A record holds what it names, be it the message's block or what a pickle in it names
             (src/python/way.h): an object in it lives as long as the ring does, whoever put it.  Put: the record is committed, objects touched, the sender's holds end.
             Get: the receiver holds them, objects are touched, the record is taken out.
   Ordering  as side.h: what was written before a put is visible after the get.
   If a process dies
             putting, before its commit: the record was not put; a block that was made
             for it is held by the dead alone, and swept
                                                  ring.put.written, ring.put.refs
             ... after it: it was put                object.left.* and those of side.h
             getting, before its commit: the record is still there, the next one gets it
                                  ring.get.copied, object.arrive.*, ring.get.arrived
             ... after it: that one message is lost; its block is held by the dead alone
                                                                    ring.got.out
             with a block in its hands: the same
   Fork      holds in the hands of another thread stay with the child until it ends.

   Nothing in shared memory is believed: a length, kind or reference that cannot be gives
   -EUCLEAN (the ring is damaged for good) or -ESTALE (one record, which is skipped).  */
#ifndef CMP_RING_H
#define CMP_RING_H

#include <stdbool.h>
#include <stddef.h>
#include "cmp.h"
#include "object.h"
#include "peer.h"
#include "side.h"

#define CMP_RING_MIN UINT32_C(2048)
#define CMP_RING_MAX (UINT32_C(1) << 18)
#define CMP_RECORD_REFS 31 /* in one record, a block included */

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

/* Let go of all that a message has brought.  */
void cmp_incoming_drop(struct cmp_incoming *m);

/* ---- for channel.c -------------------------------------------------------------------- */

/* Call visit for every reference in records.  Beside who puts and gets: what is named
   now and is still there at the end is visited.  */
void cmp_ring_each_ref(struct cmp_ring *r, uint32_t cap,
                       void (*visit)(void *arg, cmp_ref ref), void *arg);

/* Verify what holds at any moment.  NULL, or what is wrong.  */
const char *cmp_ring_check(struct cmp_ring *r, uint32_t cap);

#endif /* CMP_RING_H */
