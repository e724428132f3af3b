/* engine.h -- what explore.c, ops.c and platform.c know of each other. */
#ifndef ENGINE_H
#define ENGINE_H

#include "../../src/platform/platform.h"
#include "model.h"

#define SHARED_BASE ((char *)0x100000000000)
#define SHARED_BYTES (64u << 20)
#define HEAP_BYTES (4u << 20)
#define STACK_BYTES (256u << 10)
#define LINKS 16 /* robust nodes of one actor */
#define FIRST_TID 100u
#define CLOCK_START INT64_C(1000)
#define BIRTHS 8

/* What an actor is about to do. */
enum op {
    OP_NONE,
    OP_READ,    /* ... of a word */
    OP_WRITE,   /* ... of a word; a read-modify-write too */
    OP_LOCAL,   /* something that no other actor can see, but its death can */
    OP_QUEUE,   /* queue up on a word that cmp_park was given, and compare it */
    OP_UNPARK,
    OP_CONFIRM, /* look whether a process has ended */
    OP_CHOOSE,
    OP_POINT,   /* visible to all */
};

/* All of this is part of the state: no field may keep what does not matter. */
struct actor {
    uint8_t phase, op;
    bool local;    /* op: nobody else can see it */
    bool exec;     /* DYING: by exec */
    uint8_t n_links;
    uint8_t link_at;  /* DYING: the kernel is at this entry; n_links: at the pending word */
    uint8_t die_step; /* ... and does this with it */
    int32_t n;        /* op's argument */
    char *sp;         /* NULL once it has no stack */
    void *word;       /* op's argument */
    const void *where;
    const struct cmp_watch *watch; /* cmp_park's words */
    int64_t deadline_ns;
    int64_t clock_ns;
    int64_t slice_end_ns; /* what the next look at the clock sees; 0: clock_ns */
    uint64_t queued[2], woken[2]; /* bits of watch[] */
    cmp_word *pending;
    struct cmp_node *link[LINKS]; /* last linked first */
};

struct world {
    struct actor actor[ACTORS];
    struct budget left;
    uint8_t birth[BIRTHS]; /* platform.c: who holds each birth lock, a bit each */
};
extern struct world world;
extern int me; /* the running actor */
extern bool exploring; /* false in setup and join: nothing is a point */
extern bool tracing;

/* Stop before `op` and let the explorer decide; returns the number that it chose.
   Returns at once where no other actor could notice.  */
int point(enum op op, void *word, size_t bytes, int n);

/* Sleep, with all words queued upon.  How it ended, if nobody woke the actor. */
enum { SLEEP_SPURIOUS, SLEEP_TIMEOUT, SLEEP_SIGNAL };
int sleep_point(void);

/* A step that is not a point but belongs to the trace. */
void trace(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Wake n sleepers on word: all, or the choice-th of them.  How many.  */
int wake(cmp_word *word, int n, int choice);
int n_sleepers(const void *word);

/* Shared or private memory is about to be written. */
void note_write(const void *p, size_t bytes);

/* ops.c */
void switch_stack(char **save_sp, char *to_sp);
char *fresh_stack(char *top, void (*entry)(void));
void model_atfork_call(int which); /* 0 prepare, 1 parent, 2 child */

#endif /* ENGINE_H */
