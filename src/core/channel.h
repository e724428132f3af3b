/* channel.h -- a pair of ends, one or two rings between them: what a Pipe is.

   Layout    an object of CMP_TYPE_CHANNEL: struct cmp_channel, 64 bytes, and behind it one or
             two rings.  Two objects of CMP_TYPE_END, 64 bytes, which link it.
               end     references of the two, which keep nothing alive
               closes  see peer.h
             Ring i has what end i puts; where there is one ring only, end 1 puts into it.
   Invariant a process has an end open as long as it holds that object; the channel lives as
             long as one of its ends.  Who has one open holds the channel too, until he has
             told that it is closed: by then the channel may be nobody else's.
             Who gets waits for a message or for the end of the last holder of the other end: who
             puts, for room or for that.
   Ordering  as ring.h and peer.h.
   If a process dies
             making one: objects that the dead hold      channel.create.made, .linked
             with an end open: as if it had closed it
             closing: see peer.h; the channel is held by the dead alone
             having put an end into a record: the record holds it
                                                              channel.put.done
             dropping one that came: as if it had closed it       channel.drop.dropped
   Fork      the child has open what the parent has.  */
#ifndef CMP_CHANNEL_H
#define CMP_CHANNEL_H

#include <stdbool.h>
#include "cmp.h"
#include "object.h"
#include "ring.h"

struct cmp_channel {
    cmp_word64 end[2];
    uint32_t n_rings;
    uint32_t cap;
    cmp_word closes;
    uint32_t reserved[9];
};
_Static_assert(sizeof(struct cmp_channel) == 64, "shared layout");

struct cmp_channel_end_cell {
    cmp_word64 channel;
    uint32_t number; /* 0 or 1 */
    uint32_t reserved[13];
};
_Static_assert(sizeof(struct cmp_channel_end_cell) == 64, "shared layout");

/* Its shape, read once and believed only if its cell has room for it. */
struct cmp_channel_shape {
    uint32_t n_rings;
    uint32_t cap;
};

/* One end, as this process has it open.  Any thread may use it; it does not move.  */
struct cmp_channel_end {
    cmp_ref ref;
    cmp_ref channel_ref; /* held as well */
    struct cmp_channel *channel;
    struct cmp_peer peer; /* the other end */
    struct cmp_port in, out; /* ring NULL: it does not go that way */
};

/* Make one with rings of that many bytes, and hold both ends once.  0; -EINVAL: cap cannot be;
   or as cmp_object_create.  */
int cmp_channel_create(bool duplex, uint32_t cap, cmp_ref ends[2]);

/* Use an end that this process holds, by a hold that is the caller's to give: create's, or
   one that came with a record.  0, -EINVAL or -EUCLEAN; -ENOMEM or another -errno: this process
   cannot hold the channel.  */
int cmp_channel_open(cmp_ref ref, struct cmp_channel_end *end);

/* A reference has come in by other ways: cmp_object_take, and open.  */
int cmp_channel_take(cmp_ref ref, struct cmp_channel_end *end);

/* Give that hold up, and wake who waits on the other end.  No thread may use it any more.  */
void cmp_channel_close(struct cmp_channel_end *end);

/* As cmp_ring_put, which see; and tell who waits if ends were among what was put.  One that is
   open: hold it once more before, and close it after.  */
int cmp_channel_put(struct cmp_channel_end *end, const struct cmp_outgoing *m, int64_t deadline_ns);

/* The same for who puts objects elsewhere, into a queue: before the put, of each that is an end
   hold the channel, since nobody can ask later.  0, or -errno: nothing is held.  And after
   it: tell who waits, if it was put, and let go.  */
struct cmp_moved {
    cmp_ref ref; /* 0: it is no end */
    struct cmp_channel *channel;
    struct cmp_channel_shape shape;
};
int cmp_channel_note(const cmp_ref *refs, int n, struct cmp_moved *moved);
void cmp_channel_tell(const struct cmp_moved *moved, int n, bool was_put);

/* Drop holds on objects of any kind, and tell who waits if ends were among them.  */
void cmp_channel_drop(const cmp_ref *refs, int n);

/* Whether somebody has the other end.  */
bool cmp_channel_has_peer(struct cmp_channel_end *end);

/* ---- for object.c and check.c ------------------------------------------------------- */

void cmp_channel_each_ref(struct cmp_channel *c, uint32_t cell_bytes,
                          void (*visit)(void *arg, cmp_ref ref), void *arg);

/* Call visit for each end that will get a record which names the object.  */
void cmp_channel_each_taker(struct cmp_channel *c, uint32_t cell_bytes, cmp_ref ref,
                            void (*visit)(void *arg, cmp_ref end), void *arg);

/* Verify what holds of a cell at any moment.  NULL, or what is wrong.  */
const char *cmp_channel_check(struct cmp_channel *c, uint32_t cell_bytes);

#endif /* CMP_CHANNEL_H */
