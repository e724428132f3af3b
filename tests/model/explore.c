/* explore.c -- depth-first search of all interleavings, with snapshots.

   State     what an actor can still notice: struct world, the stacks in use, and
             the 32-byte lines of memory that differ from what setup left.  A
             snapshot is these, one after the other; the search keeps one for each
             state on its path, and of the others a 128-bit hash.
   Steps     an actor runs from one point to the next.  A point that no other
             actor can notice is none: for each word of shared memory the search
             learns who reads, writes, sleeps on and wakes it, at first from random
             walks; a search during which it learned more starts again.  What
             only a death could tell apart is a point for its actor alone.
   Hangs     final() judges each state in which nobody goes on without a
             time-out, signal or slice of confirmation.
   Livelocks each state can reach such a one; else nobody ever gets through.

   One file, although long: all of it is about the one state at hand.  */
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "engine.h"

struct world world;
int me;
bool exploring, tracing;
static const struct scenario *scenario;
static bool with_statistics;

static void die(const char *what)
{
    fprintf(stderr, "model: %s\n", what);
    exit(2);
}

static void *get_memory(void *at, size_t bytes)
{
    void *p = mmap(at, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (at ? MAP_FIXED_NOREPLACE : 0),
                   -1, 0);
    if (p == MAP_FAILED)
        die("no memory");
    return p;
}

/* ---- memory of the actors ------------------------------------------------------- */

#define LINE 32
#define N_LINES 65536

/* A range of memory of which changes are tracked. Of a private one, each process has
   an image; the running process's is in place.  */
struct region {
    char *base, *baseline, *image[ACTORS];
    size_t bytes;
    uint8_t *known; /* bit per line: it is in line[] */
    uint32_t *line;
    uint32_t n_lines;
    bool private;
};
static struct region region[8];
static int n_regions;
static int in_place; /* whose private memory */

char model_heap[HEAP_BYTES] __attribute__((aligned(4096)));
/* The linker's names for the sections into which build.sh puts statics. */
#define SECTION(name) extern char __start_##name[] __attribute__((weak)), \
    __stop_##name[] __attribute__((weak))
SECTION(coredata);
SECTION(corebss);
SECTION(seendata);
SECTION(seenbss);

static void add_region(char *begin, char *end, bool private)
{
    if (end == begin)
        return;
    struct region *r = &region[n_regions++];
    r->base = (char *)((uintptr_t)begin & ~(uintptr_t)(LINE - 1));
    r->bytes = (end - r->base + LINE - 1) / LINE * LINE;
    r->private = private;
    r->baseline = get_memory(NULL, r->bytes);
    r->known = get_memory(NULL, r->bytes / LINE / 8 + 1);
    r->line = get_memory(NULL, r->bytes / LINE * sizeof *r->line);
    for (int p = 0; private && p < ACTORS; p++)
        r->image[p] = get_memory(NULL, r->bytes);
}

static void know_line(struct region *r, uint32_t k)
{
    if (r->known[k / 8] >> (k % 8) & 1)
        return;
    r->known[k / 8] |= 1 << (k % 8);
    r->line[r->n_lines++] = k;
}

void note_write(const void *p, size_t bytes)
{
    for (struct region *r = region; r < region + n_regions; r++) {
        uintptr_t at = (uintptr_t)p - (uintptr_t)r->base;
        if (at >= r->bytes || bytes == 0)
            continue;
        for (size_t k = at / LINE; k <= (at + bytes - 1) / LINE; k++)
            know_line(r, (uint32_t)k);
        return;
    }
}

/* Have the private memory of process p in place. */
static void put_in_place(int p)
{
    if (p == in_place)
        return;
    for (struct region *r = region; r < region + n_regions; r++) {
        if (!r->private)
            continue;
        for (uint32_t i = 0; i < r->n_lines; i++) {
            size_t at = (size_t)r->line[i] * LINE;
            if (in_place >= 0)
                memcpy(r->image[in_place] + at, r->base + at, LINE);
            memcpy(r->base + at, r->image[p] + at, LINE);
        }
    }
    in_place = p;
}

/* Before anything is known of lines: all of it. */
static void copy_private(int to)
{
    for (struct region *r = region; r < region + n_regions; r++)
        if (r->private)
            memcpy(r->image[to], r->base, r->bytes);
}

static void forget_private(int p)
{
    put_in_place(p);
    for (struct region *r = region; r < region + n_regions; r++)
        for (uint32_t i = 0; r->private && i < r->n_lines; i++) {
            size_t at = (size_t)r->line[i] * LINE;
            memcpy(r->base + at, r->baseline + at, LINE);
        }
}

/* ---- running an actor ----------------------------------------------------------- */

static char *stack_top[ACTORS];
static char *engine_sp;
static int choice;             /* of the running actor's point */
static uint64_t private_steps; /* of one step of an actor: is it in an endless loop? */
static char violation[512];

static void to_engine(void)
{
    switch_stack(&world.actor[me].sp, engine_sp);
}

void model_violation(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (violation[0] == 0)
        vsnprintf(violation, sizeof violation, format, args);
    va_end(args);
    if (exploring && world.actor[me].phase == READY && engine_sp != NULL)
        to_engine();
}

static void run(int i)
{
    put_in_place(i);
    me = i;
    private_steps = 0;
    switch_stack(&engine_sp, world.actor[i].sp);
    engine_sp = NULL;
}

static void finish(void)
{
    struct actor *a = &world.actor[me];
    uint8_t n_links = a->n_links;
    cmp_word *pending = a->pending;
    struct cmp_node *link[LINKS];
    memcpy(link, a->link, sizeof link);
    memset(a, 0, sizeof *a);
    a->phase = FINISHED;
    a->n_links = n_links;
    a->pending = pending;
    memcpy(a->link, link, sizeof link);
    char *unused;
    switch_stack(&unused, engine_sp);
}

static void body(void)
{
    scenario->body[me]();
    finish();
}

static void forked_body(void)
{
    model_atfork_call(2);
    body();
}

static void start(int i, void (*entry)(void))
{
    world.actor[i].sp = fresh_stack(stack_top[i], entry);
    world.actor[i].phase = READY;
    world.actor[i].op = OP_POINT;
}

/* ---- who notices what ------------------------------------------------------------ */

/* Of four bytes of shared memory: which actors read, write, sleep on and wake them. */
struct use {
    uint8_t read, write, queue, wake;
};
static struct use *learned, *relied_on; /* found out so far; when this search began */
static uint32_t *news; /* words whose use differs */
static uint32_t n_news, max_news;
static bool everything_is_seen;

static void add_news(uint32_t at)
{
    if (n_news == max_news) {
        max_news = max_news ? max_news * 2 : 1024;
        news = realloc(news, max_news * sizeof *news);
        if (news == NULL)
            die("no memory");
    }
    news[n_news++] = at;
}

static void believe_news(void)
{
    for (uint32_t i = 0; i < n_news; i++)
        relied_on[news[i]] = learned[news[i]];
    n_news = 0;
}

static bool use_word(enum op op, const void *word, int i)
{
    size_t at = ((uintptr_t)word - (uintptr_t)SHARED_BASE) / 4;
    struct use *u = &learned[at], was = *u;
    uint8_t bit = (uint8_t)(1 << i), others = (uint8_t)~bit;
    switch (op) {
    case OP_READ:   u->read |= bit; break;
    case OP_WRITE:  u->write |= bit; break;
    case OP_QUEUE:  u->queue |= bit; u->read |= bit; break;
    case OP_UNPARK: u->wake |= bit; break;
    default:        return false;
    }
    if (memcmp(u, &was, sizeof was) != 0)
        add_news((uint32_t)at);
    u = &relied_on[at];
    switch (op) {
    case OP_READ:   return u->write & others;
    case OP_WRITE:  return (u->read | u->write) & others;
    case OP_QUEUE:  return (u->write | u->wake) & others;
    default:        return u->queue & others;
    }
}

/* Whether an actor other than i can notice. */
static bool is_seen(enum op op, const void *word, size_t bytes, int i)
{
    if (op > OP_UNPARK)
        return true;
    if (op == OP_LOCAL)
        return false;
    bool seen = false;
    uintptr_t end = (uintptr_t)word + bytes;
    for (uintptr_t p = (uintptr_t)word & ~(uintptr_t)3; p < end; p += 4)
        seen |= use_word(op, (void *)p, i);
    return seen || everything_is_seen;
}

static bool can_die(int i)
{
    uint8_t crashable = scenario->crashable ? scenario->crashable : 0xff;
    return world.left.execs > 0 || (world.left.crashes > 0 && crashable >> i & 1);
}

int point(enum op op, void *word, size_t bytes, int n)
{
    if (!exploring)
        return 0;
    struct actor *a = &world.actor[me];
    bool seen = is_seen(op, word, bytes, me);
    if (!seen && (op == OP_READ || op == OP_QUEUE || op == OP_UNPARK || !can_die(me))) {
        if (++private_steps > 10000000)
            model_violation("actor %d goes on for ever, unnoticed by the others", me);
        return 0;
    }
    a->op = op;
    a->local = !seen;
    a->word = word;
    a->n = n;
    to_engine();
    return choice;
}

int sleep_point(void)
{
    struct actor *a = &world.actor[me];
    if (!exploring) {
        model_violation("setup or join sleeps");
        return SLEEP_SPURIOUS;
    }
    a->phase = ASLEEP;
    to_engine();
    return choice;
}

int n_sleepers(const void *word)
{
    int n = 0;
    for (int i = 0; i < scenario->n_actors; i++) {
        struct actor *a = &world.actor[i];
        for (int k = 0; k < 128; k++)
            if (a->queued[k / 64] >> (k % 64) & 1 && a->watch[k].word == word)
                n++;
            else if (a->queued[k / 64] >> (k % 64) == 0)
                k |= 63;
    }
    return n;
}

int wake(cmp_word *word, int n, int which)
{
    int at = 0, woken = 0;
    for (int i = 0; i < scenario->n_actors; i++) {
        struct actor *a = &world.actor[i];
        for (int k = 0; k < 128; k++) {
            if (a->queued[k / 64] >> (k % 64) == 0) {
                k |= 63;
                continue;
            }
            if (!(a->queued[k / 64] >> (k % 64) & 1) || a->watch[k].word != word)
                continue;
            if (n != 1 || at == which) {
                a->queued[k / 64] &= ~(UINT64_C(1) << (k % 64));
                a->woken[k / 64] |= UINT64_C(1) << (k % 64);
                woken++;
            }
            at++;
        }
    }
    return woken;
}

/* ---- the death of a process ------------------------------------------------------- */

enum { DIE_LOOK, DIE_WAKE };

static cmp_word *dying_word(struct actor *a)
{
    return a->link_at < a->n_links ? &a->link[a->link_at]->word : a->pending;
}

/* The kernel compares the word, and marks it. */
static void die_look(int i)
{
    struct actor *a = &world.actor[i];
    uint32_t *word = (uint32_t *)dying_word(a), was = *word;
    if ((was & CMP_TID_MASK) == FIRST_TID + (uint32_t)i) {
        note_write(word, sizeof *word);
        *word = (was & CMP_WAITERS) | CMP_OWNER_DIED;
        trace("kernel: %p %x -> %x, the owner died", (void *)word, was, *word);
        if (was & CMP_WAITERS) {
            a->die_step = DIE_WAKE;
            return;
        }
    } else if (a->link_at == a->n_links && (was & CMP_TID_MASK) == 0) {
        a->die_step = DIE_WAKE;
        return;
    }
    a->link_at++;
}

static void die_wake(int i, int which)
{
    struct actor *a = &world.actor[i];
    int n = wake(dying_word(a), 1, which);
    trace("kernel: wakes %d on %p, a dead one's %s", n, (void *)dying_word(a),
          a->link_at < a->n_links ? "word" : "pending word");
    a->die_step = DIE_LOOK;
    a->link_at++;
}

/* Up to the next thing that another actor can notice. */
static void die_on(int i)
{
    struct actor *a = &world.actor[i];
    while (a->link_at < a->n_links + (a->pending != NULL)) {
        cmp_word *word = dying_word(a);
        if (a->link_at < a->n_links && word == a->pending) {
            a->link_at++;
            continue;
        }
        if (is_seen(a->die_step == DIE_WAKE ? OP_UNPARK : OP_WRITE, word, sizeof *word, i))
            return;
        bool was = tracing;
        tracing = false;
        if (a->die_step == DIE_WAKE)
            die_wake(i, 0);
        else
            die_look(i);
        tracing = was;
    }
}

static bool die_is_done(const struct actor *a)
{
    return a->link_at >= a->n_links + (a->pending != NULL);
}

/* Its descriptors are closed before its end can be seen. */
static bool close_births(int i)
{
    bool any = false;
    for (int k = 0; k < BIRTHS; k++)
        if (world.birth[k] >> i & 1) {
            world.birth[k] &= ~(1 << i);
            trace("birth lock %d is closed with it", k);
            any = true;
        }
    return any;
}

static void end(int i)
{
    if (close_births(i))
        return;
    bool exec = world.actor[i].exec;
    memset(&world.actor[i], 0, sizeof world.actor[i]);
    world.actor[i].phase = exec ? EXECED : ENDED;
    trace("the process %s", exec ? "is another program now" : "has ended");
}

static void begin_to_die(int i, bool exec)
{
    struct actor *a = &world.actor[i];
    a->phase = DYING;
    a->exec = exec;
    a->op = OP_NONE;
    a->local = false;
    a->n = 0;
    a->sp = NULL;
    a->word = NULL;
    a->watch = NULL;
    a->deadline_ns = a->clock_ns = a->slice_end_ns = 0;
    memset(a->queued, 0, sizeof a->queued);
    memset(a->woken, 0, sizeof a->woken);
    forget_private(i);
    trace(exec ? "calls exec, in another thread" : "is killed");
    die_on(i);
}

void model_exit(void)
{
    world.actor[me].n = -1; /* this op is the end */
    point(OP_CHOOSE, NULL, 0, -1);
    abort();
}

/* ---- what can happen next --------------------------------------------------------- */

enum { RUN, CRASH, EXEC, TIMEOUT, SIGNAL, SPURIOUS, SLICE };
#define LABEL(actor, kind, n) ((uint16_t)((actor) << 12 | (kind) << 8 | (n)))
#define MAX_LABELS 96

static bool is_woken(const struct actor *a)
{
    return (a->woken[0] | a->woken[1]) != 0;
}

static bool is_gone(int i)
{
    return world.actor[i].phase == ENDED || world.actor[i].phase == EXECED;
}

/* The numbers that a step may choose from; 0: the actor cannot go on. */
static int n_choices(int i)
{
    const struct actor *a = &world.actor[i];
    int n = 1;
    switch (a->phase) {
    case READY:
        if (a->op == OP_CHOOSE && a->n > 0)
            n = a->n;
        else if (a->op == OP_UNPARK && a->n == 1)
            n = n_sleepers(a->word);
        else if (a->op == OP_CONFIRM && !is_gone(a->n) && a->deadline_ns > a->clock_ns)
            return 0;
        return n > 1 ? n : 1;
    case ASLEEP:
        return is_woken(a);
    case DYING:
        if (!die_is_done(a) && a->die_step == DIE_WAKE)
            n = n_sleepers(dying_word((struct actor *)a));
        return n > 1 ? n : 1;
    default:
        return 0;
    }
}

static int labels_of(int i, uint16_t *out)
{
    const struct actor *a = &world.actor[i];
    int n = 0, choices = n_choices(i);
    for (int c = 0; c < choices; c++)
        out[n++] = LABEL(i, RUN, c);
    if (a->phase != READY && a->phase != ASLEEP)
        return n;
    bool asleep = a->phase == ASLEEP && !is_woken(a);
    bool confirming = a->phase == READY && a->op == OP_CONFIRM && choices == 0;
    if ((asleep || confirming) && a->deadline_ns != INT64_MAX) {
        if (a->deadline_ns != SOON)
            out[n++] = LABEL(i, SLICE, 0);
        else if (world.left.timeouts)
            out[n++] = LABEL(i, TIMEOUT, 0);
    }
    if (asleep && world.left.signals)
        out[n++] = LABEL(i, SIGNAL, 0);
    if (asleep && world.left.spurious)
        out[n++] = LABEL(i, SPURIOUS, 0);
    uint8_t crashable = scenario->crashable ? scenario->crashable : 0xff;
    if (world.left.crashes && crashable >> i & 1)
        out[n++] = LABEL(i, CRASH, 0);
    if (world.left.execs)
        out[n++] = LABEL(i, EXEC, 0);
    return n;
}

/* All of them; *progress: some of them happen by themselves. */
static int labels(uint16_t *out, int last, bool *progress)
{
    *progress = false;
    for (int i = 0; i < scenario->n_actors; i++)
        if (world.actor[i].phase == READY && world.actor[i].local) {
            *progress = true;
            return labels_of(i, out);
        }
    int n = 0;
    for (int k = 0; k < scenario->n_actors; k++) { /* the last one first: short traces */
        int i = (last + k) % scenario->n_actors;
        *progress |= n_choices(i) > 0;
        n += labels_of(i, out + n);
    }
    return n;
}

static void apply(uint16_t label)
{
    int i = label >> 12, kind = label >> 8 & 15, n = label & 255;
    struct actor *a = &world.actor[i];
    me = i;
    choice = kind == RUN ? n
             : kind == TIMEOUT || kind == SLICE ? SLEEP_TIMEOUT
             : kind == SIGNAL ? SLEEP_SIGNAL : SLEEP_SPURIOUS;
    switch (kind) {
    case RUN:
        if (a->phase == DYING) {
            if (die_is_done(a))
                end(i);
            else {
                if (a->die_step == DIE_WAKE)
                    die_wake(i, n);
                else
                    die_look(i);
                die_on(i);
            }
            return;
        }
        if (a->op == OP_CHOOSE && a->n == -1) {
            begin_to_die(i, false);
            return;
        }
        break;
    case CRASH:
        world.left.crashes--;
        begin_to_die(i, false);
        return;
    case EXEC:
        world.left.execs--;
        begin_to_die(i, true);
        return;
    case TIMEOUT:
        world.left.timeouts--;
        a->clock_ns = a->deadline_ns;
        break;
    case SLICE:
        a->slice_end_ns = a->deadline_ns;
        break;
    case SIGNAL:
        world.left.signals--;
        break;
    case SPURIOUS:
        world.left.spurious--;
        break;
    }
    if (kind != RUN)
        trace(kind == TIMEOUT ? "its time is over"
              : kind == SLICE ? "its slice is over"
              : kind == SIGNAL ? "a signal comes" : "it wakes up for no reason");
    a->phase = READY;
    a->op = OP_NONE;
    a->local = false;
    a->word = NULL;
    a->n = 0;
    run(i);
}

/* ---- snapshots -------------------------------------------------------------------- */

static char snapshot[1 << 20]; /* of the state at hand */
static size_t snapshot_bytes;

static void append(const void *p, size_t bytes)
{
    if (snapshot_bytes + bytes > sizeof snapshot)
        die("a state is too large");
    memcpy(snapshot + snapshot_bytes, p, bytes);
    snapshot_bytes += bytes;
}

static void append_lines(const struct region *r, const char *memory)
{
    for (uint32_t i = 0; i < r->n_lines; i++) {
        size_t at = (size_t)r->line[i] * LINE;
        if (memcmp(memory + at, r->baseline + at, LINE) == 0)
            continue;
        append(&r->line[i], sizeof r->line[i]);
        append(memory + at, LINE);
    }
    append(&(uint32_t){UINT32_MAX}, sizeof(uint32_t));
}

static void take_snapshot(void)
{
    snapshot_bytes = 0;
    append(&world, sizeof world);
    for (int i = 0; i < scenario->n_actors; i++)
        if (world.actor[i].sp != NULL)
            append(world.actor[i].sp, stack_top[i] - world.actor[i].sp);
    for (struct region *r = region; r < region + n_regions; r++) {
        if (!r->private)
            append_lines(r, r->base);
        for (int p = 0; r->private && p < scenario->n_actors; p++)
            append_lines(r, p == in_place ? r->base : r->image[p]);
    }
}

static const char *restore_lines(struct region *r, char *memory, const char *from)
{
    for (uint32_t i = 0; i < r->n_lines; i++) {
        size_t at = (size_t)r->line[i] * LINE;
        memcpy(memory + at, r->baseline + at, LINE);
    }
    for (;;) {
        uint32_t k;
        memcpy(&k, from, sizeof k);
        from += sizeof k;
        if (k == UINT32_MAX)
            return from;
        memcpy(memory + (size_t)k * LINE, from, LINE);
        from += LINE;
    }
}

static void restore(const char *from)
{
    memcpy(&world, from, sizeof world);
    from += sizeof world;
    for (int i = 0; i < scenario->n_actors; i++)
        if (world.actor[i].sp != NULL) {
            size_t bytes = stack_top[i] - world.actor[i].sp;
            memcpy(world.actor[i].sp, from, bytes);
            from += bytes;
        }
    for (struct region *r = region; r < region + n_regions; r++) {
        if (!r->private)
            from = restore_lines(r, r->base, from);
        for (int p = 0; r->private && p < scenario->n_actors; p++)
            from = restore_lines(r, p == in_place ? r->base : r->image[p], from);
    }
}

struct hash {
    uint64_t a, b;
};

static uint64_t mix(uint64_t x, uint64_t y)
{
    __uint128_t product = (__uint128_t)x * y;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static struct hash hash_of(const char *p, size_t bytes)
{
    struct hash h = {bytes ^ UINT64_C(0xa0761d6478bd642f), bytes ^ UINT64_C(0xe7037ed1a0b428db)};
    uint64_t x, y;
    for (; bytes >= 16; p += 16, bytes -= 16) {
        memcpy(&x, p, 8);
        memcpy(&y, p + 8, 8);
        h.a = mix(x ^ UINT64_C(0x8ebc6af09c88c6e3), y ^ h.a);
        h.b = mix(y ^ UINT64_C(0x589965cc75374cc3), x ^ h.b ^ UINT64_C(0x1d8e4e27c47d124f));
    }
    x = y = 0;
    memcpy(&x, p, bytes < 8 ? bytes : 8);
    if (bytes > 8)
        memcpy(&y, p + 8, bytes - 8);
    h.a = mix(x ^ UINT64_C(0x8ebc6af09c88c6e3), y ^ h.a);
    h.b = mix(y ^ UINT64_C(0x589965cc75374cc3), x ^ h.b ^ UINT64_C(0x1d8e4e27c47d124f));
    h.a = mix(h.a, UINT64_C(0xeb44accab455d165));
    h.b = mix(h.b, UINT64_C(0x9e3779b97f4a7c15));
    if (h.a == 0 && h.b == 0)
        h.a = 1;
    return h;
}

/* ---- the states that were seen ------------------------------------------------------ */

static struct hash *state;     /* by number */
static uint32_t *state_from;   /* the one it was reached from */
static uint16_t *state_label;
static uint32_t n_states, max_states;
static uint32_t *table;        /* open addressing: number + 1 */
static size_t table_size;

static void make_room(void)
{
    uint32_t more = max_states ? max_states * 2 : 1 << 16;
    state = realloc(state, more * sizeof *state);
    state_from = realloc(state_from, more * sizeof *state_from);
    state_label = realloc(state_label, more * sizeof *state_label);
    free(table);
    table_size = (size_t)more * 2;
    table = calloc(table_size, sizeof *table);
    if (!state || !state_from || !state_label || !table)
        die("no memory");
    for (uint32_t i = 0; i < n_states; i++) {
        size_t k = state[i].a & (table_size - 1);
        while (table[k] != 0)
            k = (k + 1) & (table_size - 1);
        table[k] = i + 1;
    }
    max_states = more;
}

/* The number of the state at hand; whether it is new. */
static uint32_t find_state(bool *is_new, uint32_t from, uint16_t label)
{
    take_snapshot();
    struct hash h = hash_of(snapshot, snapshot_bytes);
    if (n_states == max_states)
        make_room();
    size_t k = h.a & (table_size - 1);
    for (; table[k] != 0; k = (k + 1) & (table_size - 1)) {
        struct hash *s = &state[table[k] - 1];
        if (s->a == h.a && s->b == h.b) {
            *is_new = false;
            return table[k] - 1;
        }
    }
    *is_new = true;
    state[n_states] = h;
    state_from[n_states] = from;
    state_label[n_states] = label;
    table[k] = n_states + 1;
    return n_states++;
}

static void forget_states(void)
{
    free(state);
    free(state_from);
    free(state_label);
    free(table);
    state = NULL, state_from = NULL, state_label = NULL, table = NULL;
    n_states = max_states = 0;
}

/* Steps that happen by themselves, for the livelocks. */
static uint32_t (*edge)[2];
static size_t n_edges, max_edges;
static uint8_t *is_final; /* bit per state */
static size_t is_final_bytes;

static void add_edge(uint32_t from, uint32_t to)
{
    if (n_edges == max_edges) {
        max_edges = max_edges ? max_edges * 2 : 1 << 16;
        edge = realloc(edge, max_edges * sizeof *edge);
        if (edge == NULL)
            die("no memory");
    }
    edge[n_edges][0] = from;
    edge[n_edges++][1] = to;
}

static void note_final(uint32_t s)
{
    if (s / 8 >= is_final_bytes) {
        size_t more = (s / 8 + 1) * 2;
        is_final = realloc(is_final, more);
        memset(is_final + is_final_bytes, 0, more - is_final_bytes);
        is_final_bytes = more;
    }
    is_final[s / 8] |= 1 << (s % 8);
}

/* ---- reports ------------------------------------------------------------------------ */

static struct note {
    int actor;
    void *where, *caller;
    char text[160];
} *notes;
static int n_notes, max_notes;

static struct note *add_note(void)
{
    if (n_notes == max_notes) {
        max_notes = max_notes ? max_notes * 2 : 256;
        notes = realloc(notes, max_notes * sizeof *notes);
    }
    struct note *n = &notes[n_notes++];
    memset(n, 0, sizeof *n);
    n->actor = me;
    return n;
}

void trace(const char *format, ...)
{
    if (!tracing)
        return;
    struct note *n = add_note();
    va_list args;
    va_start(args, format);
    vsnprintf(n->text, sizeof n->text, format, args);
    va_end(args);
}

void trace_access(const char *what, const volatile void *p, uint64_t before, uint64_t after,
                  int bytes, void *where, void *caller)
{
    struct note *n = add_note();
    n->where = where;
    n->caller = caller;
    size_t at = (uintptr_t)p - (uintptr_t)SHARED_BASE;
    if (bytes < 0)
        snprintf(n->text, sizeof n->text, "%s of %d at %zx", what, -bytes, at);
    else if (before == after)
        snprintf(n->text, sizeof n->text, "%s %zx: %" PRIx64, what, at, before);
    else
        snprintf(n->text, sizeof n->text, "%s %zx: %" PRIx64 " -> %" PRIx64, what, at, before,
                 after);
}

/* Where each address is in the source, by addr2line: function and file:line. */
static void resolve(void **address, int n, char (*out)[160])
{
    char name[] = "/tmp/cmp-model-XXXXXX", line[512], function[80] = "";
    int fd = mkstemp(name);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
    for (int i = 0; i < n; i++)
        out[i][0] = 0;
    if (f == NULL)
        return;
    for (int i = 0; i < n; i++)
        fprintf(f, "%p\n", (void *)((char *)address[i] - 1));
    fclose(f);
    snprintf(line, sizeof line, "addr2line -f -e /proc/%d/exe < %s", (int)getpid(), name);
    f = popen(line, "r");
    for (int i = 0; f != NULL && i < 2 * n && fgets(line, sizeof line, f); i++) {
        line[strcspn(line, "\n ")] = 0;
        if (i % 2 == 0) {
            snprintf(function, sizeof function, "%.79s", line);
            continue;
        }
        const char *file = strrchr(line, '/') ? strrchr(line, '/') + 1 : line;
        snprintf(out[i / 2], sizeof *out, "%.70s %.80s", file, function);
    }
    if (f != NULL)
        pclose(f);
    unlink(name);
}

static void print_notes(void)
{
    void **address = calloc(2 * n_notes + 1, sizeof *address);
    char (*place)[160] = calloc(2 * n_notes + 1, sizeof *place);
    for (int i = 0; i < n_notes; i++) {
        address[2 * i] = notes[i].where;
        address[2 * i + 1] = notes[i].caller;
    }
    resolve(address, 2 * n_notes, place);
    int last = -1;
    for (int i = 0; i < n_notes; i++) {
        const struct note *n = &notes[i];
        const char *at = "";
        if (n->where != NULL)
            at = strncmp(place[2 * i], "atomics.h", 9) == 0 ? place[2 * i + 1] : place[2 * i];
        if (n->actor != last)
            printf("\n");
        printf("    %c  %-44s %s\n", 'A' + n->actor, at, n->text);
        last = n->actor;
    }
    free(address);
    free(place);
}

/* Who is where in the end. */
static void print_actors(void)
{
    static const char *const phases[] = {"unborn", "ready", "asleep", "dying", "dead",
                                         "execed", "through"};
    printf("\n");
    for (int i = 0; i < scenario->n_actors; i++) {
        const struct actor *a = &world.actor[i];
        printf("    %c is %s", 'A' + i, phases[a->phase]);
        void *frame[16];
        char place[16][160];
        int n = 0;
        if (a->sp != NULL) {
            uintptr_t bp;
            memcpy(&bp, a->sp + 40, sizeof bp);
            while (n < 16 && bp > (uintptr_t)a->sp && bp + 16 < (uintptr_t)stack_top[i]) {
                memcpy(&frame[n++], (char *)bp + 8, sizeof frame[0]);
                memcpy(&bp, (char *)bp, sizeof bp);
            }
            resolve(frame, n, place);
        }
        for (int k = 0; k < n; k++)
            printf("%s %s", k ? " <" : " in", place[k]);
        printf("\n");
    }
}

static int n_searches;
static bool found; /* a violation, in this scenario */

/* Print how it came to be: by `path`, of n labels, from the initial snapshot.  */
static void report(const char *initial, const uint16_t *path, int n)
{
    char what[sizeof violation];
    strcpy(what, violation);
    printf("%s: VIOLATION: %s\n", scenario->name, what);
    restore(initial);
    tracing = true;
    n_notes = 0;
    violation[0] = 0;
    for (int i = 0; i < n; i++)
        apply(path[i]);
    tracing = false;
    print_notes();
    print_actors();
    printf("\n%s: VIOLATION: %s (after %d steps)\n", scenario->name, what, n);
    fflush(stdout);
    violation[0] = 0;
    found = true;
}

/* ---- the search --------------------------------------------------------------------- */

static char *initial;
static uint64_t max_seconds, states_wanted;
static struct timespec began;

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)(now.tv_sec - began.tv_sec) + 1e-9 * (double)(now.tv_nsec - began.tv_nsec);
}

/* The state at hand is not what it was, then. */
static void check_final(void)
{
    put_in_place(scenario->judge);
    me = scenario->judge;
    bool was = exploring;
    exploring = false;
    if (scenario->final != NULL)
        scenario->final();
    exploring = was;
}

static void check_always(void)
{
    if (scenario->always != NULL)
        scenario->always();
}

/* Random runs, to learn who uses what, until they teach nothing more for a while; they
   may find a violation, too. */
static bool walk(int n_idle)
{
    static uint16_t path[20000];
    uint64_t random = 88172645463325252u;
    everything_is_seen = true;
    uint32_t known = 0;
    for (int idle = 0; idle < n_idle; idle++) {
        restore(initial);
        if (n_news != known)
            idle = 0;
        known = n_news;
        int n = 0, last = 0;
        while (n < 20000) {
            uint16_t can[MAX_LABELS];
            bool progress;
            int n_can = labels(can, last, &progress);
            if (!progress) {
                take_snapshot();
                check_final();
                restore(snapshot);
            }
            if (violation[0]) {
                report(initial, path, n);
                return false;
            }
            if (n_can == 0)
                break;
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            uint16_t label = can[(random >> 20) % (uint64_t)n_can];
            if ((label >> 8 & 15) != RUN && progress && (random >> 50) % 16 != 0)
                continue;
            path[n++] = label;
            last = label >> 12;
            apply(label);
            check_always();
            if (violation[0]) {
                report(initial, path, n);
                return false;
            }
        }
    }
    everything_is_seen = false;
    return true;
}

/* A state on the path: its snapshot lies in `snapshots` from `at`. */
struct level {
    size_t at;
    uint32_t state;
    uint8_t n_labels, next;
    uint16_t label[MAX_LABELS];
};
static struct level *level;
static int n_levels, max_levels, deepest;
static char *snapshots;
static size_t snapshots_used, snapshots_size;

/* The state at hand, which is new, becomes the last one on the path. */
static void push(uint32_t s, int last, bool *progress)
{
    if (n_levels == max_levels) {
        max_levels = max_levels ? max_levels * 2 : 1024;
        level = realloc(level, max_levels * sizeof *level);
    }
    if (snapshots_used + snapshot_bytes > snapshots_size) {
        snapshots_size = (snapshots_used + snapshot_bytes) * 2;
        snapshots = realloc(snapshots, snapshots_size);
    }
    if (level == NULL || snapshots == NULL)
        die("no memory");
    struct level *l = &level[n_levels++];
    l->at = snapshots_used;
    l->state = s;
    l->next = 0;
    memcpy(snapshots + snapshots_used, snapshot, snapshot_bytes);
    snapshots_used += snapshot_bytes;
    l->n_labels = (uint8_t)labels(l->label, last, progress);
    if (n_levels > deepest)
        deepest = n_levels;
}

static void report_path(void)
{
    uint16_t *path = calloc(n_levels + 1, sizeof *path);
    int n = 0;
    for (int i = 0; i < n_levels; i++)
        if (level[i].next > 0)
            path[n++] = level[i].label[level[i].next - 1];
    report(initial, path, n);
    free(path);
}

/* One search.  False: a violation was found, or it has to begin again: at once while
   that is cheap.  */
static bool search(uint32_t restart_until)
{
    forget_states();
    n_edges = 0;
    if (is_final != NULL)
        memset(is_final, 0, is_final_bytes);
    n_levels = 0;
    snapshots_used = 0;
    bool is_new, progress;
    restore(initial);
    uint32_t s = find_state(&is_new, 0, 0);
    push(s, 0, &progress);
    int at_hand = 0; /* the level whose state is in place; -1: none */
    while (n_levels > 0) {
        struct level *l = &level[n_levels - 1];
        if (l->next == l->n_labels) {
            n_levels--;
            snapshots_used = l->at;
            at_hand = -1;
            continue;
        }
        if (at_hand != n_levels - 1)
            restore(snapshots + l->at);
        uint16_t label = l->label[l->next++];
        at_hand = -1;
        apply(label);
        check_always();
        if (violation[0]) {
            report_path();
            return false;
        }
        uint32_t from = l->state;
        s = find_state(&is_new, from, label);
        if ((label >> 8 & 15) == RUN)
            add_edge(from, s);
        if (!is_new)
            continue;
        push(s, label >> 12, &progress);
        at_hand = n_levels - 1;
        if (!progress) {
            note_final(s);
            check_final();
            at_hand = -1;
            if (violation[0]) {
                report_path();
                return false;
            }
        }
        if (n_news > 0 && n_states < restart_until)
            return false;
        if ((n_states & 0xffff) == 0 && max_seconds && seconds() > (double)max_seconds)
            return true;
        if (states_wanted && n_states > states_wanted)
            return true;
    }
    return true;
}

/* Every state reaches a final one by steps that happen by themselves. */
static void find_livelock(void)
{
    uint32_t *begin = calloc((size_t)n_states + 2, sizeof *begin);
    uint32_t *source = malloc((n_edges + 1) * sizeof *source);
    uint32_t *todo = malloc(((size_t)n_states + 1) * sizeof *todo), n_todo = 0;
    uint8_t *ok = calloc(n_states + 1, 1);
    if (!begin || !source || !todo || !ok)
        die("no memory");
    for (size_t e = 0; e < n_edges; e++)
        begin[edge[e][1] + 1]++;
    for (uint32_t i = 0; i < n_states; i++)
        begin[i + 1] += begin[i];
    for (size_t e = n_edges; e-- > 0;) /* begin[] moves up, to where the next one begins */
        source[begin[edge[e][1]]++] = edge[e][0];
    for (uint32_t i = 0; i < n_states; i++)
        if (i / 8 < is_final_bytes && is_final[i / 8] >> (i % 8) & 1)
            ok[todo[n_todo++] = i] = 1;
    while (n_todo > 0) {
        uint32_t i = todo[--n_todo];
        for (uint32_t k = i ? begin[i - 1] : 0; k < begin[i]; k++)
            if (!ok[source[k]])
                ok[todo[n_todo++] = source[k]] = 1;
    }
    for (uint32_t i = 0; i < n_states; i++) {
        if (ok[i])
            continue;
        int n = 0;
        for (uint32_t s = i; s != 0; s = state_from[s])
            n++;
        uint16_t *path = calloc(n + 1, sizeof *path);
        int k = n;
        for (uint32_t s = i; s != 0; s = state_from[s])
            path[--k] = state_label[s];
        snprintf(violation, sizeof violation, "livelock: from here nobody ever gets through");
        report(initial, path, n);
        free(path);
        break;
    }
    free(begin);
    free(source);
    free(todo);
    free(ok);
}

/* ---- scenarios ---------------------------------------------------------------------- */

int model_self(void)
{
    return me;
}

enum phase model_phase(int actor)
{
    return world.actor[actor].phase;
}

bool model_gone(int actor)
{
    enum phase phase = world.actor[actor].phase;
    return phase == DYING || phase == ENDED || phase == EXECED;
}

uint64_t model_peek(const volatile void *p, size_t bytes)
{
    uint64_t v = 0;
    memcpy(&v, (const void *)p, bytes);
    return v;
}

void model_point(const char *what)
{
    point(OP_POINT, NULL, 0, 0);
    trace("%s", what);
}

int model_choose(int n)
{
    int c = point(OP_CHOOSE, NULL, 0, n);
    trace("chooses %d", c);
    return c;
}

static void inherit_births(int child)
{
    for (int k = 0; k < BIRTHS; k++)
        if (world.birth[k] >> me & 1)
            world.birth[k] |= 1 << child;
}

void model_fork(int child)
{
    point(OP_POINT, NULL, 0, 0);
    trace("forks %c", 'A' + child);
    model_atfork_call(0);
    for (struct region *r = region; r < region + n_regions; r++)
        for (uint32_t i = 0; r->private && i < r->n_lines; i++)
            memcpy(r->image[child] + (size_t)r->line[i] * LINE,
                   r->base + (size_t)r->line[i] * LINE, LINE);
    inherit_births(child);
    start(child, forked_body);
    world.actor[child].clock_ns = CLOCK_START;
    model_atfork_call(1);
}

void model_start(int actor)
{
    point(OP_POINT, NULL, 0, 0);
    trace("starts %c", 'A' + actor);
    inherit_births(actor);
    start(actor, body);
}

void model_no_sleepers(void)
{
    for (int i = 0; i < scenario->n_actors; i++) {
        enum phase phase = world.actor[i].phase;
        if (phase == READY || phase == ASLEEP)
            model_violation("%c hangs", 'A' + i);
    }
}

static void (*setup_step)(void);

static void setup_entry(void)
{
    setup_step();
    char *unused;
    switch_stack(&unused, engine_sp);
}

/* Run fn as actor i, with no points. */
static void run_whole(int i, void (*fn)(void))
{
    setup_step = fn;
    world.actor[i].sp = fresh_stack(stack_top[i], setup_entry);
    world.actor[i].phase = READY;
    me = i;
    switch_stack(&engine_sp, world.actor[i].sp);
    engine_sp = NULL;
    world.actor[i].sp = NULL;
    memset(stack_top[i] - STACK_BYTES, 0, STACK_BYTES);
}

static void nothing(void)
{
}

static void atfork_prepare(void)
{
    model_atfork_call(0);
}

static void atfork_parent(void)
{
    model_atfork_call(1);
}

static void atfork_child(void)
{
    model_atfork_call(2);
}

/* Make the family: process 0 runs setup(), the others are forked from it.  */
static void set_up(void)
{
    memset(&world, 0, sizeof world);
    for (int i = 0; i < ACTORS; i++)
        world.actor[i].clock_ns = CLOCK_START;
    in_place = 0;
    run_whole(0, scenario->setup ? scenario->setup : nothing);
    for (int i = 1; i < scenario->n_actors; i++) {
        if (scenario->unborn >> i & 1)
            continue;
        run_whole(0, atfork_prepare);
        inherit_births(i);
        copy_private(0);
        copy_private(i);
        run_whole(0, atfork_parent);
        copy_private(0);
        for (struct region *r = region; r < region + n_regions; r++)
            if (r->private)
                memcpy(r->base, r->image[i], r->bytes);
        in_place = i;
        run_whole(i, atfork_child);
        copy_private(i);
        for (struct region *r = region; r < region + n_regions; r++)
            if (r->private)
                memcpy(r->base, r->image[0], r->bytes);
        in_place = 0;
    }
    for (int i = 0; i < scenario->n_actors; i++) {
        if (scenario->unborn >> i & 1 || scenario->join == NULL)
            continue;
        copy_private(in_place);
        for (struct region *r = region; r < region + n_regions; r++)
            if (r->private)
                memcpy(r->base, r->image[i], r->bytes);
        in_place = i;
        run_whole(i, scenario->join);
    }
    copy_private(in_place);
    for (struct region *r = region; r < region + n_regions; r++) {
        if (!r->private) {
            memcpy(r->baseline, r->base, r->bytes);
            continue;
        }
        memcpy(r->baseline, r->image[0], r->bytes);
        for (int p = 0; p < ACTORS; p++) {
            if (p >= scenario->n_actors || scenario->unborn >> p & 1)
                memcpy(r->image[p], r->baseline, r->bytes);
            for (size_t k = 0; k < r->bytes / LINE; k++)
                if (memcmp(r->image[p] + k * LINE, r->baseline + k * LINE, LINE) != 0)
                    know_line(r, (uint32_t)k);
        }
    }
    world.left = scenario->budget;
    for (int i = 0; i < scenario->n_actors; i++) {
        if ((scenario->unborn | scenario->late) >> i & 1)
            world.actor[i].phase = UNBORN;
        else if (scenario->idle >> i & 1)
            world.actor[i].phase = FINISHED;
        else
            start(i, body);
    }
}

static void on_fault(int signal_number)
{
    snprintf(violation, sizeof violation, "signal %d: %s", signal_number,
             strsignal(signal_number));
    if (!exploring || engine_sp == NULL || tracing) {
        printf("%s: %s, outside of the model\n", scenario->name, violation);
        fflush(stdout);
        _exit(2);
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    char *unused;
    switch_stack(&unused, engine_sp);
}

static void print_result(const char *verdict)
{
    printf("%-26s %10u states %6.1f s  %s", scenario->name, n_states, seconds(), verdict);
    if (with_statistics)
        printf("  (%zu steps, deepest %d, a state %zu bytes, %d searches)", n_edges, deepest,
               snapshot_bytes, n_searches);
    printf("\n");
    fflush(stdout);
}

/* 0: no violation; 1: one; 3: none so far, but it was not finished. */
static int explore(void)
{
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &began);
    exploring = false;
    set_up();
    exploring = true;
    take_snapshot();
    initial = malloc(snapshot_bytes);
    memcpy(initial, snapshot, snapshot_bytes);
    if (!walk(300))
        return 1;
    bool done = false;
    while (!done) {
        n_searches++;
        believe_news();
        done = search(1000000 / (uint32_t)n_searches);
        if (found)
            return 1;
        if (done && n_news > 0 && n_levels == 0)
            done = false; /* to the end, but on wrong grounds */
    }
    if (n_levels > 0) {
        print_result("no violation so far, but not finished");
        return 3;
    }
    find_livelock();
    if (found)
        return 1;
    print_result("ok");
    return 0;
}

static void usage(void)
{
    fprintf(stderr, "usage: model [-v] [-f] [-s SECONDS] [-n STATES] [-b CRASHES,EXECS,TIMEOUTS,"
                    "SIGNALS,SPURIOUS] SCENARIO | -l\n");
    exit(2);
}

int main(int argc, char **argv)
{
    bool full = false;
    const char *budget = NULL;
    for (int c; (c = getopt(argc, argv, "vfls:n:b:")) != -1;) {
        switch (c) {
        case 'v': with_statistics = true; break;
        case 'f': full = true; break;
        case 's': max_seconds = strtoull(optarg, NULL, 10); break;
        case 'n': states_wanted = strtoull(optarg, NULL, 10); break;
        case 'b': budget = optarg; break;
        case 'l':
            for (int i = 0; scenarios[i] != NULL; i++)
                printf("%s\n", scenarios[i]->name);
            return 0;
        default: usage();
        }
    }
    if (argc - optind != 1)
        usage();
    static struct scenario chosen;
    for (int i = 0; scenarios[i] != NULL; i++)
        if (strcmp(scenarios[i]->name, argv[optind]) == 0)
            chosen = *scenarios[i];
    if (chosen.name == NULL)
        die("no such scenario");
    static const struct budget none;
    if (full && memcmp(&chosen.full, &none, sizeof none) != 0)
        chosen.budget = chosen.full;
    if (budget != NULL) {
        unsigned b[5] = {0};
        sscanf(budget, "%u,%u,%u,%u,%u", &b[0], &b[1], &b[2], &b[3], &b[4]);
        chosen.budget = (struct budget){b[0], b[1], b[2], b[3], b[4]};
    }
    scenario = &chosen;

    get_memory(SHARED_BASE, SHARED_BYTES);
    learned = get_memory(NULL, SHARED_BYTES / 4 * sizeof *learned);
    relied_on = get_memory(NULL, SHARED_BYTES / 4 * sizeof *learned);
    char *stacks = get_memory((char *)0x200000000000, ACTORS * STACK_BYTES);
    for (int i = 0; i < ACTORS; i++)
        stack_top[i] = stacks + (i + 1) * STACK_BYTES;
    add_region(SHARED_BASE, SHARED_BASE + SHARED_BYTES, false);
    add_region(__start_seendata, __stop_seendata, false);
    add_region(__start_seenbss, __stop_seenbss, false);
    add_region(__start_coredata, __stop_coredata, true);
    add_region(__start_corebss, __stop_corebss, true);
    add_region(model_heap, model_heap + HEAP_BYTES, true);

    static char fault_stack[65536];
    sigaltstack(&(stack_t){.ss_sp = fault_stack, .ss_size = sizeof fault_stack}, NULL);
    struct sigaction act = {.sa_handler = on_fault, .sa_flags = SA_ONSTACK | SA_NODEFER};
    sigaction(SIGSEGV, &act, NULL);
    sigaction(SIGBUS, &act, NULL);
    sigaction(SIGABRT, &act, NULL);
    return explore();
}
