/* peers.h -- what the tests of the locks share: children that hold something, threads,
   and a child that is killed at its first system call.  */
#ifndef CMP_PEERS_H
#define CMP_PEERS_H

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include "../../src/core/arena.h"
#include "../../src/core/cmp.h"
#include "../../src/core/owner.h"
#include "../../src/platform/platform.h"
#include "check.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SLOW 1 /* a sanitizer makes system calls of its own */
#else
#define SLOW 0
#endif

/* Shared by a test and its children; zeroed by begin(). */
struct stage {
    cmp_word ready;
    cmp_word go;
    cmp_word count;
    cmp_word inside;
    cmp_word result;
};

static struct stage *stage;

static inline void begin(void)
{
    memset(stage, 0, sizeof *stage);
}

static inline void start_family(unsigned int seconds)
{
    start(seconds);
    stage = shared(sizeof *stage);
    int rc = cmp_family_init();
    if (rc < 0) {
        fprintf(stderr, "cmp_family_init: %s\n", strerror(-rc));
        exit(1);
    }
}

static inline int64_t after_ms(int64_t ms)
{
    return cmp_now_ns() + ms * MS;
}

static inline void await(cmp_word *word, uint32_t value)
{
    while (load_acquire(word) != value)
        usleep(50);
}

static inline void tell(cmp_word *word)
{
    add_seqcst(word, 1);
}

/* A child that runs body(arg), says so in stage->ready, and stays until it is killed,
   or, told by stage->go, leaves by _exit(0).  */
static inline pid_t start_peer(void (*body)(void *), void *arg)
{
    uint32_t ready = load_relaxed(&stage->ready);
    pid_t pid = fork_child();
    if (pid == 0) {
        body(arg);
        tell(&stage->ready);
        while (load_acquire(&stage->go) == 0)
            usleep(100);
        _exit(n_failed != 0);
    }
    await(&stage->ready, ready + 1);
    return pid;
}

/* A child that runs body(arg) and exits with what it returned. */
static inline pid_t start_child(int (*body)(void *), void *arg)
{
    pid_t pid = fork_child();
    if (pid == 0) {
        int rc = body(arg);
        _exit(n_failed != 0 ? 99 : rc);
    }
    return pid;
}

static inline int exit_code(pid_t pid)
{
    int status = status_of(pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static inline void check_killed(pid_t pid)
{
    int status = kill_and_reap(pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static inline void on_signal(int sig)
{
    (void)sig;
}

/* Signals the test every 2 ms until it is killed: one comes after the sleep began. */
static inline pid_t start_pesterer(struct sigaction *before)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGUSR1, &action, before);
    pid_t parent = getpid(), pid = fork_child();
    while (pid == 0) {
        sleep_ms(2);
        kill(parent, SIGUSR1);
    }
    return pid;
}

static inline void stop_pesterer(pid_t pid, const struct sigaction *before)
{
    kill_and_reap(pid);
    sigaction(SIGUSR1, before, NULL);
}

static inline void pin_to_one_cpu(void)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cmp_cpu(), &one);
    sched_setaffinity(0, sizeof one, &one);
}

/* From here on, every system call but exit_group kills this process by SIGSYS. */
static inline bool forbid_system_calls(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* body must make no system call, the second time it runs.  */
static inline void check_no_system_call(void (*body)(void *), void *arg)
{
    if (SLOW)
        return;
    pid_t pid = fork_child();
    if (pid == 0) {
        body(arg);
        if (!forbid_system_calls())
            _exit(0); /* no seccomp here */
        body(arg);
        syscall(SYS_exit_group, n_failed != 0);
    }
    CHECK_EQ(exit_code(pid), 0);
}

/* Run body(arg) in n threads at once. */
static inline void in_threads(int n, void *(*body)(void *), void *arg)
{
    pthread_t *threads = calloc((size_t)n, sizeof *threads);
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 256 * 1024);
    for (int i = 0; i < n; i++)
        if (pthread_create(&threads[i], &attr, body, arg) != 0) {
            perror("pthread_create");
            exit(1);
        }
    for (int i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    pthread_attr_destroy(&attr);
    free(threads);
}

#endif /* CMP_PEERS_H */
