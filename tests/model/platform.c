/* platform.c -- a system for the model: platform.h and kernel.h over struct world.

   Parking queues up on one word after the other, a step each; any sleeper may be the
   one that a wake finds.  A dying process's robust words are marked one by one, each
   with a wake of one sleeper; its pending word wakes one if nobody owns it
   (explore.c).  Time stands still but for the end of a sleep; sleeps shorter than
   the caller's deadline, slices, may end at any time and prove nothing.  */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/platform/kernel.h"
#include "engine.h"

static struct actor *self(void)
{
    return &world.actor[me];
}

int cmp_platform_init(void)
{
    return 0;
}

void cmp_platform_after_fork(void)
{
}

int cmp_kernel_read(struct cmp_kernel *kernel)
{
    memset(kernel, 0, sizeof *kernel);
    kernel->robust_wake = kernel->pending_wake = 1;
    return 0;
}

/* ---- time ----------------------------------------------------------------------- */

/* A slice ends at its own deadline, which is looked at once; then the clock is back
   where it was: else no state would ever come again.  */
int64_t cmp_now_ns(void)
{
    struct actor *a = self();
    int64_t now_ns = a->slice_end_ns ? a->slice_end_ns : a->clock_ns;
    a->slice_end_ns = 0;
    return now_ns;
}

/* ---- threads, identities ----------------------------------------------------------- */

uint32_t cmp_tid(void)
{
    return FIRST_TID + (uint32_t)me;
}

int cmp_identity_self(struct cmp_identity *id)
{
    memset(id, 0, sizeof *id);
    id->pid = id->tid = cmp_tid();
    id->start_time = id->pidfs_ino = id->pid;
    id->pidns_ino = 1;
    return 0;
}

int cmp_identity_of(int pid, struct cmp_identity *id)
{
    memset(id, 0, sizeof *id);
    id->pid = id->tid = (uint32_t)pid;
    id->start_time = id->pidfs_ino = id->pid;
    id->pidns_ino = 1;
    return 0;
}

bool cmp_same_pids_as_parent(void)
{
    return true;
}

uint64_t cmp_exec_mark(void)
{
    return 0;
}

int cmp_at_thread_exit(void (*fn)(void))
{
    (void)fn;
    return 0;
}

int cmp_random(void *p, size_t bytes)
{
    memset(p, 7, bytes);
    return 0;
}

void cmp_look_close(struct cmp_look *look)
{
    look->fd = -1;
}

enum cmp_end cmp_end_confirm(struct cmp_look *look, const struct cmp_identity *id,
                             uint64_t exec_mark, bool by_leader, bool hint,
                             int64_t deadline_ns)
{
    (void)exec_mark, (void)by_leader;
    struct actor *a = self();
    int other = (int)(id->pid - FIRST_TID);
    if (other < 0 || other >= ACTORS)
        return CMP_END_ENDED;
    a->deadline_ns = deadline_ns;
    point(OP_CONFIRM, NULL, 0, other);
    enum phase phase = world.actor[other].phase;
    enum cmp_end end = phase == ENDED            ? CMP_END_ENDED
                       : phase == EXECED && hint ? CMP_END_EXECED
                                                 : CMP_END_NOT_YET;
    trace("confirms that %c %s", 'A' + other,
          end == CMP_END_NOT_YET ? "may live" : "is no more");
    look->fd = end == CMP_END_NOT_YET ? 3 : -1;
    a->deadline_ns = 0;
    return end;
}

int cmp_is_alive(const struct cmp_identity *id)
{
    struct cmp_look look = CMP_LOOK_INIT;
    return cmp_end_confirm(&look, id, 0, true, false, 0) == CMP_END_NOT_YET;
}

/* ---- robust words ------------------------------------------------------------------- */

bool cmp_robust_works(void)
{
    return true;
}

void cmp_robust_link(struct cmp_node *node)
{
    struct actor *a = self();
    if (a->n_links == LINKS)
        abort();
    point(OP_LOCAL, NULL, 0, 0);
    memmove(a->link + 1, a->link, a->n_links * sizeof *a->link);
    a->link[0] = node;
    a->n_links++;
}

void cmp_robust_unlink(struct cmp_node *node)
{
    struct actor *a = self();
    point(OP_LOCAL, NULL, 0, 0);
    for (int i = 0; i < a->n_links; i++)
        if (a->link[i] == node) {
            memmove(a->link + i, a->link + i + 1, (a->n_links - i - 1) * sizeof *a->link);
            a->link[--a->n_links] = NULL;
            return;
        }
}

cmp_word *cmp_pending_now(void)
{
    return self()->pending;
}

/* Nothing runs in the middle of an operation here. */
cmp_word *cmp_pending_keep(cmp_word *park)
{
    (void)park;
    return NULL;
}

void cmp_pending(cmp_word *park)
{
    struct actor *a = self();
    if (a->pending == park)
        return;
    point(OP_LOCAL, NULL, 0, 0);
    a->pending = park;
    if (park != NULL)
        trace("pending %zx", (size_t)((char *)park - SHARED_BASE));
    else
        trace("pending nothing");
}

/* ---- parking -------------------------------------------------------------------------- */

/* Leave all queues.  The highest that woke this actor, -1: none did.  */
static int leave_queues(struct actor *a)
{
    int woken = a->woken[1] ? 127 - __builtin_clzll(a->woken[1])
                : a->woken[0] ? 63 - __builtin_clzll(a->woken[0])
                              : -1;
    memset(a->queued, 0, sizeof a->queued);
    memset(a->woken, 0, sizeof a->woken);
    a->watch = NULL;
    a->deadline_ns = 0;
    return woken;
}

static int sleep_now(struct actor *a, int n)
{
    int64_t deadline_ns = a->deadline_ns;
    trace("asleep on %d words", n);
    int how = sleep_point();
    int woken = leave_queues(a);
    trace("awake: %d", woken);
    if (woken >= 0)
        return woken;
    switch (how) {
    case SLEEP_TIMEOUT:
        if (deadline_ns != SOON)
            a->slice_end_ns = 0;
        return -ETIMEDOUT;
    case SLEEP_SIGNAL:
        return -EINTR;
    default:
        return n; /* for no reason */
    }
}

int cmp_park(const struct cmp_watch *words, int n, int64_t deadline_ns)
{
    struct actor *a = self();
    if (n < 1 || n > CMP_PARK_MAX)
        return -EINVAL;
    a->watch = words;
    a->deadline_ns = deadline_ns;
    for (int i = 0; i < n; i++) {
        if ((uintptr_t)words[i].word % 4 != 0)
            abort();
        point(OP_QUEUE, words[i].word, 4, 0);
        uint32_t is = *(const uint32_t *)(const void *)words[i].word;
        if (is != words[i].expected) {
            trace("not asleep: %zx is %x, not %x", (size_t)((char *)words[i].word - SHARED_BASE),
                  is, words[i].expected);
            int woken = leave_queues(a);
            return woken >= 0 ? woken : -EAGAIN;
        }
        a->queued[i / 64] |= UINT64_C(1) << (i % 64);
    }
    return sleep_now(a, n);
}

int cmp_unpark(cmp_word *park, int n)
{
    int which = point(OP_UNPARK, park, 4, n);
    int woken = wake(park, n, which);
    trace("wakes %d on %zx", woken, (size_t)((char *)park - SHARED_BASE));
    return woken;
}

/* ---- memory ---------------------------------------------------------------------------- */

int cmp_map_create(struct cmp_map *map, size_t bytes)
{
    (void)bytes;
    map->base = SHARED_BASE;
    map->reserved = map->accessible = SHARED_BYTES;
    map->fd = 3;
    return 0;
}

int cmp_map_attach(struct cmp_map *map, int fd)
{
    (void)fd;
    return cmp_map_create(map, 0);
}

int cmp_map_grow(struct cmp_map *map, size_t bytes)
{
    (void)map;
    return bytes > SHARED_BYTES ? -ENOMEM : 0;
}

int cmp_map_reach(struct cmp_map *map, size_t bytes, size_t said)
{
    (void)map;
    (void)said;
    return bytes > SHARED_BYTES ? -ERANGE : 0;
}

int cmp_map_commit(struct cmp_map *map, size_t offset, size_t bytes)
{
    return cmp_map_reach(map, offset + bytes, 0);
}

int64_t cmp_memory_left(void)
{
    return -1;
}

void *model_memset(void *to, int c, size_t bytes);

void cmp_map_clear(struct cmp_map *map, size_t offset, size_t bytes)
{
    model_memset(map->base + offset, 0, bytes);
}

int cmp_map_fd(const struct cmp_map *map)
{
    return map->fd;
}

int cmp_map_copy_fd(const struct cmp_map *map)
{
    return map->fd;
}

bool cmp_map_same_file(const struct cmp_map *map, int fd)
{
    (void)map, (void)fd;
    return true;
}

void cmp_map_detach(struct cmp_map *map)
{
    map->base = NULL;
}

/* A birth lock is held by the processes whose bit is in world.birth[slot]; the
   descriptor is the slot's number and 100.  model_fork() hands it on.  */
#define BIRTH_FD 100

int cmp_birth_open(const struct cmp_map *map, unsigned int slot)
{
    (void)map;
    if (slot >= BIRTHS)
        return -EAGAIN; /* the model has no more slots */
    point(OP_POINT, NULL, 0, 0);
    if (world.birth[slot] != 0)
        return -EAGAIN;
    world.birth[slot] |= 1 << me;
    trace("holds birth lock %u", slot);
    return BIRTH_FD + (int)slot;
}

int cmp_birth_held(const struct cmp_map *map, unsigned int slot)
{
    (void)map;
    if (slot >= BIRTHS)
        return 0;
    point(OP_POINT, NULL, 0, 0);
    trace("birth lock %u is%s held", slot, world.birth[slot] ? "" : " not");
    return world.birth[slot] != 0;
}

void cmp_birth_end(int fd, unsigned int slot)
{
    (void)fd;
    point(OP_POINT, NULL, 0, 0);
    world.birth[slot] = 0;
}

void cmp_close(int fd)
{
    if (fd < BIRTH_FD)
        return;
    point(OP_POINT, NULL, 0, 0);
    world.birth[fd - BIRTH_FD] &= ~(1 << me);
    trace("closes birth lock %d", fd - BIRTH_FD);
}

/* ---- processors ------------------------------------------------------------------------- */

int cmp_cpu(void)
{
    return 0;
}

int cmp_parallelism(void)
{
    return 1;
}

void cmp_yield(void)
{
    point(OP_POINT, NULL, 0, 0);
}

void cmp_pause(void)
{
    point(OP_POINT, NULL, 0, 0);
}

void cmp_platform_pretend(uint32_t lacks)
{
    (void)lacks;
}

bool cmp_lacks(uint32_t what)
{
    return (what & (CMP_LACKS_BACKSTOP | CMP_LACKS_SPIN)) != 0;
}
