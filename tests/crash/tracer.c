/* tracer.c -- lead a process from point to point with ptrace.

   The first time through an operation is single-stepped, and its trail, the address at
   each point, is kept.  A later trial gets to its point by a breakpoint there, passed as
   often as the trail says: on a virtual machine a single step costs 40 us, a thousand of
   them more than everything else in a trial.  A victim that strays from the trail (it
   ended before its point) is led once more, step by step.

   What touches nothing shared is no point: the functions below; nor are further rounds of
   a string instruction, or of a loop after the eighth.  Being asleep is one, the first
   time.  */
#include <dlfcn.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>

#include "../../src/core/wait.h"
#include "../../src/platform/linux.h"
#include "harness.h"

#if !defined(__x86_64__)
#error "single-stepping knows x86-64 only; the hooks would work elsewhere"
#endif

#define BREAKPOINT 0xcc
#define MAX_PASSES 8 /* of a loop: what is done a ninth time is no point any more */
#define SHORT_WAY 3  /* so many points are stepped, trail or not */

/* Functions that at most read shared memory, or ask the kernel.  */
static const void *const quiet[] = {
    cmp_now_ns, cmp_identity_self, cmp_identity_of, cmp_parallelism, cmp_cpu, cmp_exec_mark,
    cmp_tid, cmp_spin, cmp_slot_at, cmp_slot_dead, cmp_extent_at_slow, cmp_owner_hold, cmp_owner_cpu,
    linux_read_file, linux_read_stat, cmp_lacks,
    malloc, calloc, realloc, free, snprintf, sscanf, strtoull, clock_gettime, getenv,
};

static uint64_t vdso, vdso_end;

void tracer_init(void)
{
    vdso = getauxval(AT_SYSINFO_EHDR);
    char line[256];
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL)
        if (strstr(line, "[vdso]") != NULL)
            vdso_end = strtoull(strchr(line, '-') + 1, NULL, 16);
    if (maps != NULL)
        fclose(maps);
}

/* ---- memory and registers of the traced --------------------------------------------- */

/* Also while it runs, or sleeps; its text is its own after that. */
void poke(const struct actor *a, uint64_t address, const void *bytes, size_t n)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/%d/mem", (int)a->pid);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || pwrite(fd, bytes, n, (off_t)address) != (ssize_t)n)
        abort();
    close(fd);
}

static void set_breakpoint(struct actor *a, uint64_t address)
{
    unsigned char trap = BREAKPOINT;
    a->breakpoint = address;
    poke(a, address, &trap, 1);
}

/* All actors have the text of the director, at the same addresses. */
static void clear_breakpoint(struct actor *a)
{
    if (a->breakpoint != 0)
        poke(a, a->breakpoint, (const void *)(uintptr_t)a->breakpoint, 1);
    a->breakpoint = 0;
}

static void read_place(struct actor *a)
{
    struct user_regs_struct r;
    if (ptrace(PTRACE_GETREGS, a->pid, NULL, &r) < 0)
        return;
    a->rip = r.rip;
    a->rsp = r.rsp;
    if (a->breakpoint == 0 || a->rip != a->breakpoint + 1)
        return;
    a->rip = r.rip = a->breakpoint; /* the trap comes after the byte */
    ptrace(PTRACE_SETREGS, a->pid, NULL, &r);
}

/* It has just stopped for the first time; if it is a child, it has its parent's text. */
void tracer_attached(struct actor *a, const struct actor *parent)
{
    read_place(a);
    a->breakpoint = parent != NULL ? parent->child_breakpoint : 0;
    clear_breakpoint(a);
}

/* ---- stops ---------------------------------------------------------------------------- */

/* What waitpid said about a traced process.  */
static enum step note_stop(struct actor *a, int status)
{
    a->in_flight = false;
    if (!WIFSTOPPED(status)) {
        a->gone = true;
        return STEP_ENDED;
    }
    a->has_forked = status >> 16 == PTRACE_EVENT_FORK || status >> 16 == PTRACE_EVENT_VFORK;
    if (a->has_forked) {
        unsigned long child = 0;
        ptrace(PTRACE_GETEVENTMSG, a->pid, NULL, &child);
        a->new_child = (pid_t)child;
        a->child_breakpoint = a->breakpoint;
    }
    a->signal = WSTOPSIG(status) == SIGTRAP || WSTOPSIG(status) == SIGSTOP ? 0 : WSTOPSIG(status);
    read_place(a);
    return STEP_STOPPED;
}

/* Wait for the stop at the end of a step that cannot sleep.  */
static enum step await_stop(struct actor *a)
{
    int status;
    pid_t pid;
    do
        pid = waitpid(a->pid, &status, __WALL);
    while (pid < 0 && errno == EINTR);
    if (pid != a->pid) {
        a->gone = true;
        return STEP_ENDED;
    }
    return note_stop(a, status);
}

/* ... of one that may sleep, or run to its end.  */
static enum step await_stop_or_sleep(struct actor *a)
{
    int64_t end_ns = cmp_now_ns() + options.limit_ms * MS;
    for (int i = 0;; i++) {
        int status;
        pid_t pid = waitpid(a->pid, &status, WNOHANG | __WALL);
        if (pid == a->pid)
            return note_stop(a, status);
        if (pid < 0 && errno == ECHILD) {
            a->gone = true;
            return STEP_ENDED;
        }
        if (is_finished(a))
            return STEP_ENDED;
        if (i > 20 && i % 10 == 0 && (is_asleep(a->pid) || cmp_now_ns() > end_ns))
            return STEP_ASLEEP;
        if (i > 50)
            usleep(20);
        else
            sched_yield();
    }
}

/* Trace it no longer.  One that sleeps cannot be detached before it stops once more; it
   may just have met its breakpoint, so that is not forgotten until then.  */
void let_go(struct actor *a)
{
    int status;
    if (a->in_flight && a->breakpoint != 0)
        poke(a, a->breakpoint, (const void *)(uintptr_t)a->breakpoint, 1);
    if (a->in_flight) {
        if (waitpid(a->pid, &status, WNOHANG | __WALL) != a->pid || note_stop(a, status) != STEP_STOPPED)
            return;
    }
    clear_breakpoint(a);
    ptrace(PTRACE_DETACH, a->pid, NULL, NULL);
    a->traced = a->let_go = false;
}

static void resume(struct actor *a, int request)
{
    if (a->in_flight)
        return;
    ptrace(request, a->pid, NULL, a->signal);
    a->in_flight = true;
}

/* ---- one point further ------------------------------------------------------------------ */

static bool is_quiet(uint64_t rip)
{
    if (rip >= vdso && rip < vdso_end)
        return true;
    for (size_t i = 0; i < sizeof quiet / sizeof *quiet; i++)
        if (rip == (uint64_t)(uintptr_t)quiet[i])
            return true;
    return false;
}

static bool is_syscall(uint64_t rip)
{
    const unsigned char *insn = (const unsigned char *)(uintptr_t)rip;
    return insn[0] == 0x0f && insn[1] == 0x05;
}

/* Run a quiet function that has just been entered to its return.  */
static enum step step_over(struct actor *a)
{
    errno = 0;
    uint64_t back = (uint64_t)ptrace(PTRACE_PEEKDATA, a->pid, a->rsp, NULL);
    if (errno != 0)
        abort();
    set_breakpoint(a, back);
    resume(a, PTRACE_CONT);
    enum step result = await_stop(a);
    if (result == STEP_STOPPED)
        clear_breakpoint(a);
    return result;
}

/* To the next instruction that may matter.  */
static enum step raw_step(struct actor *a)
{
    uint64_t from = a->rip;
    do {
        bool may_sleep = a->in_flight || is_syscall(a->rip);
        resume(a, PTRACE_SINGLESTEP);
        enum step result = may_sleep ? await_stop_or_sleep(a) : await_stop(a);
        if (result != STEP_STOPPED)
            return result;
        clear_breakpoint(a); /* that of run_to_sleep() */
        while (is_quiet(a->rip))
            if ((result = step_over(a)) != STEP_STOPPED)
                return result;
    } while (a->rip == from || a->has_forked);
    return STEP_STOPPED;
}

/* How often each address was passed, by any of the traced. */
static struct passage {
    uint64_t key; /* address and actor; 0: unused */
    unsigned int count;
} passages[1 << 15];

/* Whether it has been here so often that this is no point any more. */
static bool is_worn(const struct actor *a)
{
    uint64_t key = a->rip << 6 | (unsigned int)a->id;
    const size_t size = sizeof passages / sizeof *passages;
    for (size_t i = key * 0x9e3779b97f4a7c15u >> 49, tries = 0; tries < size; tries++, i = (i + 1) % size) {
        struct passage *p = &passages[i];
        if (p->key == 0)
            p->key = key;
        if (p->key == key)
            return ++p->count > MAX_PASSES;
    }
    return false;
}

static enum step step_instruction(struct actor *a)
{
    enum step result;
    do
        result = raw_step(a);
    while (result == STEP_STOPPED && is_worn(a));
    return result;
}

static enum step step_to_hook(struct actor *a)
{
    for (;;) {
        if (!a->in_flight)
            leave_hook(a);
        resume(a, PTRACE_CONT);
        enum step result = await_stop_or_sleep(a);
        if (result != STEP_STOPPED)
            return result;
        if (hook_of(a) != NULL)
            return STEP_STOPPED;
    }
}

enum step step(struct actor *a)
{
    if (options.hooked)
        return step_to_hook(a);
    enum step result = step_instruction(a);
    struct trail *t = a->trail;
    if (result == STEP_STOPPED && t != NULL && t->recording && t->n < MAX_POINTS)
        t->rip[++t->n] = a->rip;
    return result;
}

/* ---- many points further ----------------------------------------------------------------- */

/* It sleeps in a call of libc's, and must not run further than that.  */
static void stop_at_return(struct actor *a)
{
    char path[40], text[256] = "";
    snprintf(path, sizeof path, "/proc/%d/syscall", (int)a->pid);
    FILE *f = fopen(path, "re");
    char *pc = f != NULL && fgets(text, sizeof text, f) != NULL ? strrchr(text, ' ') : NULL;
    if (f != NULL)
        fclose(f);
    clear_breakpoint(a);
    if (pc != NULL)
        set_breakpoint(a, strtoull(pc, NULL, 16));
}

/* Let it run until it sleeps in the kernel; from then on its points count.  */
void run_to_sleep(struct actor *a)
{
    resume(a, PTRACE_CONT);
    if (await_stop_or_sleep(a) != STEP_ASLEEP)
        return;
    a->was_asleep = true;
    if (!options.hooked)
        stop_at_return(a);
}

/* Let it run until it forks.  False: it does not.  */
bool run_to_fork(struct actor *a)
{
    while (a->new_child == 0) {
        leave_hook(a);
        resume(a, PTRACE_CONT);
        if (await_stop_or_sleep(a) != STEP_STOPPED)
            return false;
    }
    return true;
}

bool can_follow(const struct actor *a, long n)
{
    const struct trail *t = a->trail;
    return !options.hooked && t != NULL && !t->recording && n <= t->n &&
           n > a->n_points + SHORT_WAY;
}

/* How often the way to point n leads over its address. */
static int passes(const struct actor *a, long n)
{
    int count = 0;
    for (long i = a->n_points + 1; i <= n; i++)
        count += a->trail->rip[i] == a->trail->rip[n];
    return count;
}

/* On to the next passage of that address: off it first, if it stands there.  */
static enum step run_to(struct actor *a, uint64_t address)
{
    if (!a->in_flight && a->rip == address) {
        clear_breakpoint(a);
        enum step result = raw_step(a);
        if (result != STEP_STOPPED || a->rip == address)
            return result;
    }
    if (a->breakpoint != address) {
        clear_breakpoint(a);
        set_breakpoint(a, address);
    }
    resume(a, PTRACE_CONT);
    return await_stop_or_sleep(a);
}

static enum step run_to_first_sleep(struct actor *a)
{
    resume(a, PTRACE_CONT);
    enum step result = await_stop_or_sleep(a);
    if (result == STEP_ASLEEP)
        stop_at_return(a);
    return result;
}

/* Lead it along its trail to point n, or to its first sleep if that comes before.  */
enum step follow(struct actor *a, long n)
{
    const struct trail *t = a->trail;
    if (!a->was_asleep && t->asleep_at > a->n_points && t->asleep_at <= n)
        return run_to_first_sleep(a);
    if (a->n_left == 0)
        a->n_left = passes(a, n);
    while (a->n_left > 0) {
        enum step result = run_to(a, t->rip[n]);
        if (result != STEP_STOPPED)
            return result;
        if (a->rip == t->rip[n])
            a->n_left--;
    }
    clear_breakpoint(a);
    a->n_points = n;
    return STEP_STOPPED;
}

/* The place of a traced process in words: by addr2line if it is there. */
void describe_place(const struct actor *a, char *text, size_t size)
{
    Dl_info info;
    const char *hook = hook_of(a);
    if (options.hooked && hook != NULL) {
        snprintf(text, size, "at hook %s", hook);
        return;
    }
    if (a->rip == 0 || dladdr((void *)(uintptr_t)a->rip, &info) == 0) {
        snprintf(text, size, "at %#lx", (unsigned long)a->rip);
        return;
    }
    unsigned long offset = a->rip - (uintptr_t)info.dli_fbase;
    char command[300], line[200] = "";
    snprintf(command, sizeof command, "addr2line -sfie '%s' %#lx 2>/dev/null | tr '\\n' ' '", info.dli_fname, offset);
    FILE *pipe = strchr(info.dli_fname, '\'') == NULL ? popen(command, "re") : NULL;
    if (pipe != NULL) {
        if (fgets(line, sizeof line, pipe) == NULL)
            line[0] = 0;
        pclose(pipe);
    }
    snprintf(text, size, "at %s+%#lx %s", info.dli_sname ? info.dli_sname : "?", offset, line);
}
