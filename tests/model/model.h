/* model.h -- every interleaving of a few processes over the real code of src/core.

   The sources are compiled as they are, with -fsanitize=thread, and linked with a
   runtime of our own (ops.c) in place of ThreadSanitizer's: each atomic operation
   and each plain access to shared memory becomes a point at which the explorer
   (explore.c) may let another process run, or kill this one.  platform.c is the
   system: parking, robust lists, death, time.  Interleavings are sequentially
   consistent: what weaker memory could add is not seen here.

   An actor is a process: a stack of its own, and statics and heap of its own,
   which are swapped at every switch.  The statics of a scenario file, though, are
   common to all and not part of the program: it notes there what it has seen.  */
#ifndef MODEL_H
#define MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACTORS 5

/* How often each of these may happen in one run, to any of the actors. */
struct budget {
    uint8_t crashes;  /* SIGKILL, anywhere */
    uint8_t execs;    /* another thread of the process calls exec, anywhere */
    uint8_t timeouts; /* a sleep with a deadline reaches it */
    uint8_t signals;  /* a sleep ends with -EINTR */
    uint8_t spurious; /* a sleep ends without a reason */
};

enum phase {
    UNBORN,   /* until model_fork() */
    READY,    /* about to do what its op says */
    ASLEEP,   /* in cmp_park */
    DYING,    /* no thread of it runs any more; the kernel walks its robust list */
    ENDED,    /* ... and is done: the end can be confirmed */
    EXECED,   /* likewise, but the process lives on as another program */
    FINISHED, /* its body returned; the process is there, and does nothing */
};

struct scenario {
    const char *name;
    int n_actors;
    struct budget budget;
    struct budget full;       /* for make model-full; all zeroes: as budget */
    uint8_t crashable;        /* bit per actor; 0: all */
    uint8_t unborn;           /* bit per actor that a model_fork() will make */
    uint8_t late;             /* ... that is a member already, and a model_start() starts */
    uint8_t idle;             /* ... that lives, and does nothing */
    uint8_t judge;            /* the process in which final() runs */
    void (*always)(void);     /* MUST(...) holds in every state; may only peek */
    void (*setup)(void);      /* in process 0, before the others are made of it; not explored */
    void (*join)(void);       /* in each process, then; not explored; may be NULL */
    void (*body[ACTORS])(void);
    void (*final)(void);      /* when nobody goes on by itself: MUST(...) holds.  It may
                                 change things: that is undone. */
};
extern const struct scenario *const scenarios[]; /* ends with NULL */

/* ---- for scenarios ------------------------------------------------------------ */

#define MUST(condition) \
    do { \
        if (!(condition)) \
            model_violation("%s:%d: %s does not hold", __FILE__, __LINE__, #condition); \
    } while (0)

/* What was found is wrong: print how it came to be, and end.  Does not return to
   an actor; returns in setup, join and final.  */
void model_violation(const char *format, ...) __attribute__((format(printf, 1, 2)));

int model_self(void);
enum phase model_phase(int actor);
bool model_gone(int actor); /* DYING, ENDED or EXECED */

/* What is in shared memory, without a point. */
uint64_t model_peek(const volatile void *p, size_t bytes);

/* A point of the program: others may run, this one may die.  With words for the
   trace.  */
void model_point(const char *what);

/* One of 0..n-1: all are tried.  */
int model_choose(int n);

/* The process ends in order: its exit functions have been run.  */
void model_exit(void) __attribute__((noreturn));

/* fork(): `actor`, so far UNBORN, starts with a copy of this process's memory, runs
   the handlers of pthread_atfork, then its body.  */
void model_fork(int actor);

/* Start an actor that is `late`, and have it inherit this process's descriptors. */
void model_start(int actor);

/* Every live actor is through; else says who sleeps. The usual `final`. */
void model_no_sleepers(void);

/* A deadline in the future of every actor's clock, but one that can be reached. */
#define SOON INT64_C(2000)

#endif /* MODEL_H */
