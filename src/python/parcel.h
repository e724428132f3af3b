/* parcel.h -- one message of a connection, as it goes through a channel.

   The tag of a record tells what the message is: bytes, as send_bytes() was given them, or the
   head of an object, see codec.h; and whether it is in the record, or in a block that goes
   along.  Then the payload of the record is the number of bytes in the block, and padding: what a
   large message takes of the ring, so that few are on their way at a time, as with sockets.
   The block of an object begins with the number of its buffers and the lengths of
   head and buffers, 8 bytes each; then come these, each at a multiple of 64.
   The objects that the pickle in it names go along in the record, see way.h, behind the block.

   A message of more than 2 MB is waited for: who sends it goes on when somebody has begun to receive it,
   as with sockets.  So one who sends faster than others receive does not fill the memory.

   What the ring has no room for, while others would still have: more than half of it in use, a
   message goes by a block unless it is tiny.  So as many messages as a socket would take can
   be sent before the first is received: programs may rely on that without knowing.  */
#ifndef PYCMP_PARCEL_H
#define PYCMP_PARCEL_H

#include "codec.h"
#include "../core/channel.h"

/* Send so many bytes; or an object's message, whose cargo is empty then.  0, or -1 and an exception:
   nothing was sent, or, of a message that is waited for, nobody was there to receive it, or a signal
   handler has raised.  */
int pycmp_send_bytes(struct cmp_channel_end *end, const void *data, size_t n);
int pycmp_send_message(struct cmp_channel_end *end, struct pycmp_message *m);

/* What has been received; to be released with the GIL.  */
struct pycmp_parcel {
    struct cmp_incoming in;
    bool is_object;
    const void *data; /* of bytes: those; of an object: its head */
    size_t n;
    struct cmp_span *buffers; /* of an object */
    size_t n_buffers;
};

/* Receive the next one.  buffer: room for cmp_ring_plain_max bytes.  0; -1 and an exception,
   EOFError if there will be none.  */
int pycmp_receive(pycmp_state *st, struct cmp_channel_end *end, void *buffer,
                  struct pycmp_parcel *p);
void pycmp_parcel_release(struct pycmp_parcel *p);

/* Around the reading of an object.  What came with it and has no handle by then is held for good,
   if it was read: there may be a pickle of it inside, that will be read later.  begin: 0, or -1 and
   a MemoryError; *arrival is NULL if nothing came.  */
int pycmp_parcel_begin(const struct pycmp_parcel *p, struct pycmp_arrival **arrival);
void pycmp_parcel_end(struct pycmp_parcel *p, struct pycmp_arrival *arrival, bool was_read);

/* Copy some bytes, without the GIL if they are many.  */
void pycmp_copy(void *to, const void *from, size_t n);

#endif /* PYCMP_PARCEL_H */
