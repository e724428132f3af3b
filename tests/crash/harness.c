/* harness.c -- the actors of a trial, and how they are led to their deaths. */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../../src/core/check.h"
#include "harness.h"

enum { N_STRANGERS = 2, STANDS_STILL_MS = 60 };

struct board *board;
struct verdict *verdict;
struct trail *trails;
struct crash_options options;

/* The trial that this process directs. */
static struct {
    const struct scenario *scenario;
    long k, j;
    int second; /* which sleeper, -1: none */
    struct actor actor[MAX_ACTORS];
    int n_actors, n_sleepers;
    struct actor *victim, *second_victim;
    struct {
        const char *name;
        const uint32_t *words;
        size_t n;
    } shown[4];
    int n_shown;
    pid_t stranger[N_STRANGERS];
    int call[N_STRANGERS][2], box[2];
    int n_called;
} trial;

/* Private to an actor: who it is, and whether it stops at hooks. */
static volatile int my_id = -1;
static volatile int stops_at_hooks;
static bool is_traced;

static void tell(const char *format, ...)
{
    size_t used = strlen(verdict->text);
    va_list args;
    va_start(args, format);
    vsnprintf(verdict->text + used, sizeof verdict->text - used, format, args);
    va_end(args);
}

/* ---- for actors ------------------------------------------------------------------ */

void cmp_at_hook(const char *point)
{
    for (int i = 0; i < options.n_hooks; i++) {
        if (strcmp(options.hooks[i].name, point) != 0)
            continue;
        add_seqcst(&options.hooks[i].passed, 1);
        if (stops_at_hooks && gettid() == getpid()) {
            store_seqcst(&board->at[my_id], (uint32_t)i + 1);
            __asm__ volatile("int3");
        }
        return;
    }
    violation("hook %s is not among those of the sources", point);
}

void ready(void)
{
    if (is_traced)
        __asm__ volatile("int3");
    compiler_barrier();
}

int my_actor(void)
{
    return my_id;
}

void mark(int id)
{
    store_seqcst(&board->stage[id], MARKED);
}

uint32_t await_order(int id)
{
    uint32_t order;
    while ((order = load_seqcst(&board->order[id])) == 0)
        usleep(20);
    return order;
}

/* A second process may come in only by a take-over.  */
void enter(int id, bool took_over)
{
    uint32_t before = xchg_seqcst(&board->inside, (uint32_t)id + 1);
    if (before != 0 && !took_over)
        violation("actors %d and %u are in the critical section", id, before - 1);
    if (took_over && before != 0 && load_seqcst(&board->count[7]) != 0)
        violation("actor %d took over from %u, which lives", id, before - 1);
}

void leave(int id)
{
    uint32_t seen = (uint32_t)id + 1;
    if (!cas_strong(&board->inside, &seen, 0))
        violation("actor %d was in the critical section, and %d came", id, (int)seen - 1);
}

/* Also for the director. */
void violation(const char *format, ...)
{
    if (add_seqcst(&board->n_violations, 1) != 0)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(board->violation, sizeof board->violation, format, args);
    va_end(args);
}

/* ---- the director's actors --------------------------------------------------------- */

static void act(role *fn, int id, bool traced)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (traced)
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    is_traced = traced;
    my_id = id;
    store_seqcst(&board->code[id], cmp_arena() != NULL ? cmp_me() : 0);
    fn(id);
    stops_at_hooks = 0;
    store_seqcst(&board->stage[id], FINISHED); /* one store: nothing follows */
    for (;;)
        pause();
}

static struct actor *new_actor(bool traced)
{
    if (trial.n_actors == MAX_ACTORS)
        abort();
    struct actor *a = &trial.actor[trial.n_actors];
    *a = (struct actor){.id = trial.n_actors++, .traced = traced};
    return a;
}

static struct actor *start(role *fn, bool traced)
{
    struct actor *a = new_actor(traced);
    a->pid = fork();
    if (a->pid == 0)
        act(fn, a->id, traced);
    if (a->pid < 0) {
        violation("fork: %s", strerror(errno));
        exit(1);
    }
    return a;
}

/* ---- processes that are no members from birth ------------------------------------- */

/* What a stranger is told: its role, as all have the same text at the same addresses.  */
struct summons {
    role *fn;
    int id;
    bool traced;
};

static void stranger(int box)
{
    struct summons s;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (read(box, &s, sizeof s) == sizeof s)
        act(s.fn, s.id, s.traced);
    _exit(0);
}

static void fork_strangers(void)
{
    for (int i = 0; i < N_STRANGERS; i++) {
        if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, trial.call[i]) < 0)
            abort();
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, trial.box) < 0)
        abort();
    for (int i = 0; i < N_STRANGERS; i++) {
        trial.stranger[i] = fork();
        if (trial.stranger[i] == 0)
            stranger(trial.call[i][1]);
    }
}

static struct actor *call_stranger(role *fn, bool traced)
{
    int i = trial.n_called++;
    struct actor *a = new_actor(traced);
    struct summons s = {fn, a->id, traced};
    if (i >= N_STRANGERS || write(trial.call[i][0], &s, sizeof s) != sizeof s)
        abort();
    a->pid = trial.stranger[i];
    return a;
}

union control {
    char room[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
};

void send_with_fd(const void *bytes, size_t n, int fd)
{
    union control control;
    struct iovec part = {(void *)(uintptr_t)bytes, n};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_len = CMSG_LEN(sizeof fd);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    if (sendmsg(trial.box[0], &m, 0) < 0)
        violation("sendmsg: %s", strerror(errno));
}

bool receive_with_fd(void *bytes, size_t n, int *fd)
{
    union control control;
    struct iovec part = {bytes, n};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t received = recvmsg(trial.box[1], &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (received != (ssize_t)n || c == NULL)
        return false;
    memcpy(fd, CMSG_DATA(c), sizeof *fd);
    return true;
}

struct actor *summon(role *fn)
{
    return call_stranger(fn, false);
}

static void let_go_on(void);

struct actor *spawn(role *fn)
{
    return start(fn, false);
}

static void await_ready(struct actor *a)
{
    int status;
    if (waitpid(a->pid, &status, 0) != a->pid || !WIFSTOPPED(status)) {
        violation("actor %d ended before its ready(): status %#x", a->id, status);
        a->gone = true;
        return;
    }
    ptrace(PTRACE_SETOPTIONS, a->pid, NULL, PTRACE_O_EXITKILL | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK);
    tracer_attached(a, NULL);
}

static struct actor *spawn_traced(role *fn)
{
    struct actor *a = start(fn, true);
    await_ready(a);
    return a;
}

static void stop_at_hooks(struct actor *a, bool stops)
{
    int value = stops && options.hooked;
    poke(a, (uint64_t)(uintptr_t)&stops_at_hooks, &value, sizeof value);
}

static struct trail *trail_of(int who)
{
    struct trail *t = &trails[who];
    return trial.scenario->flags & OWN_WAY || !(t->known || t->recording) ? NULL : t;
}

struct actor *spawn_victim(role *fn)
{
    struct actor *a = spawn_victim_later(fn);
    stand_ready(a);
    return a;
}

struct actor *spawn_victim_later(role *fn)
{
    return trial.victim = start(fn, true);
}

void stand_ready(struct actor *a)
{
    await_ready(a);
    a->trail = trail_of(0);
    stop_at_hooks(a, true);
}

struct actor *spawn_sleeper(role *fn)
{
    if (trial.n_sleepers++ != trial.second) {
        struct actor *a = spawn(fn);
        await_sleep(a);
        return a;
    }
    struct actor *a = spawn_traced(fn);
    run_to_sleep(a);
    stop_at_hooks(a, true);
    a->trail = trail_of(1);
    trial.second_victim = a;
    return a;
}

struct actor *summon_victim(role *fn)
{
    trial.victim = call_stranger(fn, true);
    stand_ready(trial.victim);
    return trial.victim;
}

struct actor *spawn_second(role *fn)
{
    struct actor *a = spawn_traced(fn);
    a->trail = trail_of(1);
    stop_at_hooks(a, true);
    return trial.second_victim = a;
}

void spawn_sleepers(role *fn, int n)
{
    while (n-- > 0)
        spawn_sleeper(fn);
}

struct actor *spawn_marked(role *fn)
{
    struct actor *a = spawn(fn);
    await_mark(a);
    return a;
}

/* The child begins under the tracer, at the return of its fork.  */
struct actor *adopt_child(struct actor *parent)
{
    int status;
    if (parent->new_child == 0 || waitpid(parent->new_child, &status, __WALL) != parent->new_child)
        return NULL;
    struct actor *a = new_actor(true);
    a->pid = parent->new_child;
    parent->new_child = 0;
    tracer_attached(a, parent);
    int id = a->id;
    poke(a, (uint64_t)(uintptr_t)&my_id, &id, sizeof id);
    stop_at_hooks(a, true);
    return a;
}

struct actor *adopt_as_victim(struct actor *parent)
{
    struct actor *a = trial.victim = adopt_child(parent);
    a->trail = trail_of(0);
    return a;
}

void give_order(struct actor *a, uint32_t order)
{
    store_seqcst(&board->order[a->id], order);
}

void kill_process(pid_t pid)
{
    int status;
    if (pid <= 0) { /* which would be a group, or everybody */
        violation("there is no process %d to kill", (int)pid);
        return;
    }
    struct pollfd end = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
    kill(pid, SIGKILL);
    while (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status))
        ;
    if (end.fd < 0) /* its parent has waited for it */
        return;
    poll(&end, 1, options.limit_ms); /* one that another has forked */
    close(end.fd);
}

void use_slot_next(uint32_t number)
{
    store64_relaxed(&cmp_arena()->owner_words[CMP_ARENA_SLOT_HINT], number);
}

void kill_actor(struct actor *a)
{
    if (!a->gone)
        kill_process(a->pid);
    a->gone = true;
}

void release_actor(struct actor *a)
{
    if (a->gone)
        return;
    stop_at_hooks(a, false);
    a->let_go = true;
    let_go_on();
}

static void let_go_on(void)
{
    for (int i = 0; i < trial.n_actors; i++)
        if (trial.actor[i].let_go)
            let_go(&trial.actor[i]);
}

/* Asleep in the kernel in one of the ways of src/platform, or waiting for a child.  */
bool is_asleep(pid_t pid)
{
    char path[40], text[16] = "";
    snprintf(path, sizeof path, "/proc/%d/syscall", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    int nr = n > 0 ? atoi(text) : 0; /* "running", or the number of the call */
    return nr == SYS_futex || nr == SYS_futex_waitv || nr == SYS_poll || nr == SYS_ppoll || nr == SYS_wait4;
}

bool is_finished(const struct actor *a)
{
    return load_seqcst(&board->stage[a->id]) == FINISHED;
}

static int64_t limit(int ms)
{
    return cmp_now_ns() + ms * MS;
}

void await_sleep(struct actor *a)
{
    for (int64_t end = limit(options.limit_ms); cmp_now_ns() < end; usleep(20))
        if (is_asleep(a->pid) || is_finished(a))
            return;
    violation("actor %d does not fall asleep", a->id);
}

void await_mark(struct actor *a)
{
    for (int64_t end = limit(options.limit_ms); cmp_now_ns() < end; usleep(20), let_go_on())
        if (load_seqcst(&board->stage[a->id]) != STARTED)
            return;
    hang("actor %d does not come to its mark", a->id);
}

bool await(bool (*condition)(void))
{
    for (int64_t end = limit(options.limit_ms); cmp_now_ns() < end; usleep(20), let_go_on())
        if (condition())
            return true;
    return false;
}

/* ---- killing ----------------------------------------------------------------------- */

static enum reached fell_asleep(struct actor *a, long n)
{
    struct trail *t = a->trail;
    a->was_asleep = true;
    a->n_points++;
    if (t != NULL && t->recording) {
        t->asleep_at = ++t->n;
    } else if (t != NULL && t->asleep_at > 0) {
        a->n_points = t->asleep_at;
    }
    return a->n_points >= n ? REACHED : ASLEEP;
}

enum reached drive(struct actor *a, long n, int limit_ms)
{
    int64_t end = limit(limit_ms);
    while (a->n_points < n) {
        if (a->gone || is_finished(a))
            return ENDED;
        bool follows = can_follow(a, n);
        enum step s = follows ? follow(a, n) : step(a);
        if (s == STEP_ENDED)
            return ENDED;
        if (s == STEP_STOPPED && !follows)
            a->n_points++;
        else if (s == STEP_ASLEEP && !a->was_asleep)
            return fell_asleep(a, n);
        else if (s == STEP_ASLEEP && cmp_now_ns() > end)
            return STUCK;
    }
    return a->gone || is_finished(a) ? ENDED : REACHED;
}

static void note_kill(const struct actor *a, const char *which)
{
    char place[300];
    const char *hook = hook_of(a);
    verdict->n_kills++;
    for (int i = 0; hook != NULL && i < options.n_hooks; i++)
        if (strcmp(options.hooks[i].name, hook) == 0)
            add_seqcst(&options.hooks[i].killed, 1);
    if (!options.verbose)
        return;
    describe_place(a, place, sizeof place);
    tell("    %s killed %s%s\n", which, place, a->in_flight ? "(asleep)" : "");
}

static void die(struct actor *a, const char *which)
{
    note_kill(a, which);
    kill_actor(a);
}

static bool end_lead(struct actor *v, enum reached r)
{
    switch (r) {
    case REACHED: die(v, "victim"); return true;
    case ENDED: victim_ended(); return true;
    case ASLEEP: return false;
    case STUCK: break;
    }
    hang("the victim does not come to point %ld", trial.k);
    return true;
}

bool lead(struct actor *v)
{
    return end_lead(v, drive(v, trial.k, options.limit_ms));
}

void stop_here(struct actor *v)
{
    if (drive(v, trial.k, options.limit_ms) != REACHED || v->was_asleep)
        victim_ended();
}

bool lead_looking(struct actor *v, void (*look)(void))
{
    enum reached r = drive(v, 0, 0);
    for (long i = 1; i <= trial.k && r == REACHED; i++) {
        r = drive(v, i, options.limit_ms);
        look();
    }
    return end_lead(v, r);
}

void lead_on(struct actor *v)
{
    if (v->gone)
        return;
    enum reached r = drive(v, trial.k, trial.second >= 0 ? STANDS_STILL_MS : options.limit_ms);
    if (r == STUCK && trial.second >= 0) {
        second_dies(); /* perhaps the victim waits for it, and it stands where the tracer holds it */
        r = drive(v, trial.k, options.limit_ms);
    }
    if (r == ENDED) {
        victim_ended();
        return;
    }
    if (r == STUCK || r == ASLEEP)
        hang("the victim does not wake up");
    die(v, "victim");
}

void lead_for(struct actor *v, int ms)
{
    if (v->gone)
        return;
    enum reached r = drive(v, trial.k, ms);
    if (r == REACHED)
        die(v, "victim");
    else if (r == ENDED)
        victim_ended();
}

void lead_on_or_leave_asleep(struct actor *v)
{
    if (v->gone)
        return;
    enum reached r = drive(v, trial.k, 20);
    if (r != REACHED)
        victim_ended();
    if (r != ENDED)
        die(v, "victim");
}

void second_dies(void)
{
    struct actor *a = trial.second_victim;
    if (trial.second < 0) {
        if (a != NULL)
            release_actor(a);
        return;
    }
    if (a == NULL || a->gone) {
        verdict->second_ended |= a == NULL;
        return;
    }
    enum reached r = drive(a, trial.j, STANDS_STILL_MS);
    if (r == ENDED) {
        verdict->second_ended = true;
        return;
    }
    if (r != REACHED)
        verdict->second_ended = true; /* asleep by right: settle() tells; its last point */
    die(a, "second");
}

/* ---- the verdict --------------------------------------------------------------------- */

static void say(uint32_t *counter, const char *format, va_list args)
{
    char line[400];
    ++*counter;
    vsnprintf(line, sizeof line, format, args);
    tell("    %s\n", line);
}

void hang(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(&verdict->hangs, format, args);
    va_end(args);
}

static void wrong(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(&verdict->violations, format, args);
    va_end(args);
}

void victim_ended(void)
{
    verdict->victim_ended = true;
}

bool victim_has_ended(void)
{
    return verdict->victim_ended;
}

long trial_k(void)
{
    return trial.k;
}

bool second_dies_too(void)
{
    return trial.second >= 0;
}

int hang_limit_ms(void)
{
    return options.limit_ms;
}

int n_finished(void)
{
    int n = 0;
    for (int i = 0; i < trial.n_actors; i++)
        n += is_finished(&trial.actor[i]);
    return n;
}

bool all_finished(void)
{
    for (int i = 0; i < trial.n_actors; i++) {
        const struct actor *a = &trial.actor[i];
        if (!a->gone && !a->bystander && !is_finished(a))
            return false;
    }
    return true;
}

void settle(bool (*may_stand_still)(void))
{
    for (int64_t end = limit(options.limit_ms); cmp_now_ns() < end; usleep(20), let_go_on())
        if (all_finished() || (may_stand_still != NULL && may_stand_still()))
            return;
    char who[100] = "";
    for (int i = 0; i < trial.n_actors; i++) {
        const struct actor *a = &trial.actor[i];
        size_t n = strlen(who);
        if (!a->gone && !a->bystander && !is_finished(a))
            snprintf(who + n, sizeof who - n, " %d%s", i, is_asleep(a->pid) ? " (asleep)" : "");
    }
    hang("these actors do not finish:%s", who);
}

void show_on_failure(const char *name, const void *words, size_t bytes)
{
    if (trial.n_shown == sizeof trial.shown / sizeof *trial.shown)
        return;
    trial.shown[trial.n_shown].name = name;
    trial.shown[trial.n_shown].words = words;
    trial.shown[trial.n_shown++].n = bytes / sizeof(uint32_t);
}

static void show_words(void)
{
    for (int i = 0; i < trial.n_shown; i++) {
        tell("    %s:", trial.shown[i].name);
        for (size_t n = 0; n < trial.shown[i].n; n++)
            tell(" %x", trial.shown[i].words[n]);
        tell("\n");
    }
    tell("    owner codes:");
    for (int i = 0; i < trial.n_actors; i++)
        tell(" %d:%x%s", i, load_seqcst(&board->code[i]), trial.actor[i].gone ? "+" : "");
    tell("\n");
}

void *make(enum cmp_type type, size_t bytes, cmp_ref *ref)
{
    void *cell = NULL;
    cmp_ref r = 0;
    int rc = cmp_object_create(type, bytes, &r, &cell);
    if (rc < 0) {
        wrong("cmp_object_create: %s", strerror(-rc));
        exit(1);
    }
    if (ref != NULL)
        *ref = r;
    return cell;
}

static void complain(void *arg, const char *what)
{
    wrong("check() %s: %s", (const char *)arg, what);
}

static void check_arena(const char *when)
{
    int rc = cmp_check(complain, (void *)when);
    if (rc < 0)
        wrong("check() %s: %s", when, strerror(-rc));
}

/* Everybody dies; then nothing may be left but what the director holds. */
static void clear_stage(void)
{
    for (int i = 0; i < trial.n_actors; i++)
        kill_actor(&trial.actor[i]);
    int64_t freed = cmp_sweep();
    if (freed < 0)
        wrong("cmp_sweep: %s", strerror((int)-freed));
    uint32_t before = load_seqcst(&board->n_violations);
    check_nothing_left();
    if (load_seqcst(&board->n_violations) != 0 && before == 0)
        wrong("%s", board->violation);
    check_arena("after all died");
}

void play_trial(const struct scenario *s, long k, int second, long j)
{
    uint32_t lacks = CMP_LACKS_SPIN | (s->flags & SLICES ? 0 : CMP_LACKS_BACKSTOP);
    trial.scenario = s;
    trial.k = k;
    trial.second = second;
    trial.j = j;
    memset(board, 0, sizeof *board);
    cmp_platform_pretend(lacks);
    if (s->flags & STRANGERS)
        fork_strangers();
    int rc = cmp_family_init();
    if (rc < 0) {
        wrong("cmp_family_init: %s", strerror(-rc));
        return;
    }
    s->play(s->a, s->b);
    if (load_seqcst(&board->n_violations) != 0)
        wrong("%s", board->violation);
    if (verdict->hangs + verdict->violations != 0)
        show_words();
    check_arena("before the end");
    clear_stage();
    verdict->ran_through = true;
}

/* ---- hooks, as the tracer sees them --------------------------------------------------- */

const char *hook_of(const struct actor *a)
{
    uint32_t i = load_seqcst(&board->at[a->id]);
    return i == 0 ? NULL : options.hooks[i - 1].name;
}

void leave_hook(const struct actor *a)
{
    store_seqcst(&board->at[a->id], 0);
}
