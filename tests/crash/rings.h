/* rings.h -- what the scenarios of rings and channels share.  In ring.c. */
#ifndef CMP_CRASH_RINGS_H
#define CMP_CRASH_RINGS_H

#include "../../src/core/channel.h"
#include "harness.h"

#define CAP CMP_RING_MIN
#define SMALL 24
#define LARGE 504  /* four of them fill the ring */
#define BLOCK 6000 /* goes by a block */
#define N_FULL 4

/* What goes by messages of that size.  */
#define SIZE 0xffff
#define OWN 0x10000     /* the bytes are in a block that who puts has made, as src/python does */
#define OWN_BIG 0x20000 /* ... with extents */
#define LAST 0x40000    /* the victim is the last one to wait, not the first */

extern struct cmp_channel_end a_end, b_end; /* a puts, b gets */
extern uint32_t n_turns;                    /* of actors that are made now */
extern int n_killed_getters;

void make_ring(int how, uint32_t turns);
int put_sized(struct cmp_channel_end *e, uint32_t number, size_t n, int64_t deadline_ns);
int get_one(int64_t deadline_ns); /* verified */
void director_puts(uint32_t n);
void director_gets(uint32_t n);
bool is_empty(void);
int stand(void); /* a look before sleeping that waits for an order */

/* Take out what is left, then go through the books; and: the ring still works.  */
void account(void);
void use(void);

#endif /* CMP_CRASH_RINGS_H */
