/* harness.h -- kill a process at every point of an operation; do the others live on?

   A scenario plays one trial.  The process that runs it, the director, makes a
   family of its own and forks its actors.  One of them, the victim, is traced: it
   is led to its k-th point and killed there.  A point is an instruction where the
   program was built from the sources as they are, a hook where it was built with
   hooks.h; being asleep is a point in both, and so is point 0, before the
   operation.  Optionally a second actor is killed at its j-th point after that.
   The trials of a scenario go through every k, until the victim ends by itself.

   Afterwards every actor that lives must finish, with no slices to help it
   (CMP_LACKS_BACKSTOP) unless the scenario says so; cmp_check() must find
   nothing; and once all actors are dead, a sweep must leave nothing behind.
   Actors that have finished live on until the verdict: their end would wake those
   who watch them, and hide a hang.

   All processes of one trial share one processor: a step is then 2 us, not 40.  */
#ifndef CMP_CRASH_HARNESS_H
#define CMP_CRASH_HARNESS_H

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "../../src/core/arena.h"
#include "../../src/core/cmp.h"
#include "../../src/core/object.h"
#include "../../src/core/owner.h"
#include "../../src/platform/platform.h"

#define MAX_ACTORS 40
#define MS INT64_C(1000000)

/* ---- scenarios ------------------------------------------------------------------ */

struct scenario {
    const char *name;
    void (*play)(int a, int b);
    int a, b;
    long step;     /* `make crash` tries every step-th instruction; 0 means 1 */
    int n_seconds; /* so many actors may be the second victim; see second_here() */
    unsigned int flags;
};
#define SLICES 1u    /* the back-stop stays on: only slices find this */
#define OWN_WAY 2u   /* k is not the victim's point: no hooks, no trail */
#define IN_STEP 4u   /* the victim is not killed at k but stopped there, while another is
                        killed at j: see stop_here() and spawn_second() */

/* Each file of scenarios adds its own before main() runs. */
void add_scenarios(const struct scenario *list, int n);
#define STRANGERS 8u /* two processes of no family are there from the start: summon() */
#define SCENARIOS(list) \
    __attribute__((constructor)) static void add_##list(void) \
    { \
        add_scenarios(list, sizeof list / sizeof *list); \
    }

/* ---- what all processes of a trial share, besides the arena ---------------------- */

enum stage { STARTED, MARKED, FINISHED = 3 };

struct board {
    cmp_word stage[MAX_ACTORS];
    cmp_word order[MAX_ACTORS];
    cmp_word code[MAX_ACTORS];   /* owner codes */
    cmp_word result[MAX_ACTORS]; /* whatever the scenario wants to know */
    cmp_word at[MAX_ACTORS];     /* 1 + the hook at which it stands */
    cmp_word inside;             /* 1 + the actor in the critical section, 0: nobody */
    cmp_word count[8];
    cmp_word64 ref[64];
    cmp_word n_violations;
    char violation[200]; /* the first one */
};
extern struct board *board;

/* ---- for actors ------------------------------------------------------------------ */

typedef void role(int id);

void ready(void);                 /* the operation begins here: point 0 of a victim */
void mark(int id);                /* tell the director */
uint32_t await_order(int id);     /* until the director gives one */
void enter(int id, bool took_over); /* the critical section: nobody else may be there */
void leave(int id);
int my_actor(void); /* also in a child that adopt_child() has made an actor of */
void violation(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- for the director ------------------------------------------------------------ */

struct actor {
    pid_t pid;
    int id;
    bool traced;
    bool bystander; /* need not finish */
    bool gone;      /* was killed, or ended */
    bool was_asleep;
    long n_points;
    /* of the tracer */
    bool in_flight;
    int signal;
    bool let_go;     /* trace it no longer, once it stops */
    bool has_forked; /* that is why it stopped */
    pid_t new_child;
    uint64_t child_breakpoint;
    uint64_t rip, rsp;
    uint64_t breakpoint; /* 0: none */
    int n_left;          /* how often it must still be passed */
    struct trail *trail; /* NULL: it is led step by step */
};

struct actor *spawn(role *fn);            /* runs at once */
struct actor *spawn_victim(role *fn);     /* is traced, and stands at its ready() */
struct actor *spawn_victim_later(role *fn); /* ... but does something before that, by itself: */
void stand_ready(struct actor *a);        /* ... until here */
struct actor *spawn_sleeper(role *fn);    /* runs, and sleeps by now; may be the second victim */
void spawn_sleepers(role *fn, int n);
/* One of the processes that were there before the family: it joins by itself. */
struct actor *summon(role *fn);
struct actor *summon_victim(role *fn);
/* One message with a descriptor, from any actor to a stranger. */
void send_with_fd(const void *bytes, size_t n, int fd);
bool receive_with_fd(void *bytes, size_t n, int *fd); /* false: there is none */
struct actor *spawn_second(role *fn);     /* as a victim; second_dies() leads it */
struct actor *spawn_marked(role *fn);     /* runs, and has called mark() */
struct actor *adopt_child(struct actor *parent); /* the child that a traced actor has forked */
struct actor *adopt_as_victim(struct actor *parent);
bool run_to_fork(struct actor *a);               /* false: it does not fork */
void run_to_sleep(struct actor *a);              /* a traced one; its points count from there */
void give_order(struct actor *a, uint32_t order);
void kill_actor(struct actor *a);
void kill_process(pid_t pid);
void use_slot_next(uint32_t number);      /* the next process gets that slot, if it is free */
void release_actor(struct actor *a);      /* trace it no longer: it runs on */
bool is_asleep(pid_t pid);
bool is_finished(const struct actor *a);
void await_sleep(struct actor *a);
void await_mark(struct actor *a);
bool await(bool (*condition)(void));      /* false after the limit */

/* Lead a traced actor on to its n-th point. */
enum reached {
    REACHED, /* it stands at that point */
    ASLEEP,  /* it sleeps before that point: said once, then it must go on */
    ENDED,   /* it finished, or is gone */
    STUCK,   /* it did not come there within the limit */
};
enum reached drive(struct actor *a, long n, int limit_ms);

/* Lead the victim to its k-th point and kill it there.  True: it was killed, or it
   ended before.  False: it sleeps before that point, and something must happen.  */
bool lead(struct actor *victim);

/* That has happened: lead it on to its k-th point and kill it.  Not coming there,
   nor to its end, is a hang.  */
void lead_on(struct actor *victim);

/* Lead it to its k-th point, to stand there; asleep is its last one.  */
void stop_here(struct actor *victim);

/* Lead it point by point, calling look() after each.  As lead().  */
bool lead_looking(struct actor *victim, void (*look)(void));

/* The same, for a victim that may sleep for ever by right: that is its last point. */
void lead_on_or_leave_asleep(struct actor *victim);

/* Lead it on for so long, asleep or awake; if it comes to its point it dies there.  */
void lead_for(struct actor *victim, int ms);

/* The sleepers' second victim, if this trial has one, goes on to its j-th point and
   dies there.  Scenarios with n_seconds call it once what happens has happened.  */
void second_dies(void);

/* Wait until every actor that lives has finished, or stands still by right.  */
void settle(bool (*may_stand_still)(void));
bool all_finished(void);
int n_finished(void);

/* The verdict on this trial. */
void hang(const char *format, ...) __attribute__((format(printf, 1, 2)));
void victim_ended(void); /* there are no further points */
bool victim_has_ended(void);

/* Words that a failure shows; several times for several cells. */
void show_on_failure(const char *name, const void *words, size_t bytes);

/* Make an object, held by the director, and inherited by the actors after it.  */
void *make(enum cmp_type type, size_t bytes, cmp_ref *ref);

/* accounts.c: what is wrong if every actor is dead and a sweep has been: objects that live
   though the director does not hold them, slots that are not free, claimed extents.  */
void check_nothing_left(void);
bool is_living(cmp_ref ref);

/* The trial's numbers, for scenarios that go their own way. */
long trial_k(void);
bool second_dies_too(void);
int hang_limit_ms(void);

/* ---- between harness.c, tracer.c and main.c --------------------------------------- */

#define MAX_HOOKS 512
#define MAX_POINTS 40000 /* an operation that is longer never ends */

struct verdict {
    uint32_t hangs, violations;
    uint32_t n_kills;
    bool victim_ended, second_ended, ran_through;
    char text[3000];
};

struct hook {
    char name[56];
    cmp_word passed, killed;
};

/* The way of a victim through its operation. */
struct trail {
    bool recording;
    bool known;
    long n;         /* points */
    long asleep_at; /* the point of its first sleep, 0: it had none */
    uint64_t rip[MAX_POINTS + 1];
};

struct crash_options {
    bool hooked;        /* built with hooks: points are hooks */
    bool verbose;       /* tell where each victim was killed */
    int limit_ms;       /* a hang is more than this */
    int max_findings;   /* per scenario */
    struct hook *hooks; /* shared: those of the sources */
    int n_hooks;
};
extern struct crash_options options;
extern struct verdict *verdict;
extern struct trail *trails; /* shared: of the victim, and of the second one */

/* Play one trial; the caller is a process made for it.  second < 0: none. */
void play_trial(const struct scenario *s, long k, int second, long j);

/* tracer.c */
enum step { STEP_STOPPED, STEP_ASLEEP, STEP_ENDED };
void tracer_init(void);
void tracer_attached(struct actor *a, const struct actor *parent);
enum step step(struct actor *a);
void let_go(struct actor *a);
bool can_follow(const struct actor *a, long n);
enum step follow(struct actor *a, long n);
void poke(const struct actor *a, uint64_t address, const void *bytes, size_t n);
void describe_place(const struct actor *a, char *text, size_t size);
const char *hook_of(const struct actor *a); /* at which it stands, NULL: none */
void leave_hook(const struct actor *a);

#endif /* CMP_CRASH_HARNESS_H */
