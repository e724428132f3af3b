/* check.h -- what every C test uses.

   A test is a program: it ends with `return done();` and exits 0 if every CHECK
   held, 1 if not, 77 by skip().  start() sets an alarm, so that a hang is a death
   by SIGALRM.  Children made by fork inherit the checks but not the alarm.  */
#ifndef CMP_CHECK_H
#define CMP_CHECK_H

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SKIPPED 77
#define MS INT64_C(1000000)

static int n_failed;

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            n_failed++; \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition); \
        } \
    } while (0)

/* Two integers, with their values in the message. */
#define CHECK_EQ(a, b) \
    do { \
        long long a_ = (long long)(a), b_ = (long long)(b); \
        if (a_ != b_) { \
            n_failed++; \
            fprintf(stderr, "%s:%d: failed: %s == %s (%lld, %lld)\n", __FILE__, \
                    __LINE__, #a, #b, a_, b_); \
        } \
    } while (0)

static inline void start(unsigned int seconds)
{
    alarm(seconds);
}

static inline int done(void)
{
    return n_failed != 0;
}

static inline void skip(const char *reason)
{
    printf("skipped: %s\n", reason);
    exit(SKIPPED);
}

static inline void sleep_ms(long ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (nanosleep(&t, &t) < 0 && errno == EINTR)
        ;
}

/* Memory that forked children share, all zeroes. */
static inline void *shared(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return p;
}

/* Like fork, but a failure ends the test, and the child has an alarm too. */
static inline pid_t fork_child(void)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        perror("fork");
        exit(1);
    }
    if (pid == 0) {
        alarm(60);
        n_failed = 0; /* so that _exit(n_failed) tells of the child alone */
    }
    return pid;
}

static inline int status_of(pid_t pid)
{
    int status = -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

static inline int kill_and_reap(pid_t pid)
{
    kill(pid, SIGKILL);
    return status_of(pid);
}

/* Whether /proc is there, and numbers processes as this process does. */
static inline bool proc_is_usable(void)
{
    char name[16] = "";
    return readlink("/proc/self", name, sizeof name - 1) > 0 && atoi(name) == getpid();
}

/* The third field of /proc/PID/task/TID/stat: R, S, Z ...; 0 if it is gone. */
static inline char state_of(pid_t pid, pid_t tid)
{
    char path[64], line[512] = "";
    snprintf(path, sizeof path, "/proc/%d/task/%d/stat", (int)pid, (int)tid);
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return 0;
    char *end = fgets(line, sizeof line, f) ? strrchr(line, ')') : NULL;
    fclose(f);
    return end && end[1] == ' ' ? end[2] : 0;
}

/* Wait until the first thread of a process is in that state; false after 10 s. */
static inline bool reaches(pid_t pid, char state)
{
    for (int i = 0; i < 100000; i++) {
        if (state_of(pid, pid) == state)
            return true;
        usleep(100);
    }
    return false;
}

#endif /* CMP_CHECK_H */
