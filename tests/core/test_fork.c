/* Description: forks. Children hold what their parent held, whatever it does next; forks
   that fail, without descriptors, without birth locks, from threads; storms of them
   among kills; and nothing is left afterwards. */
#include <sys/resource.h>
#include "../../src/core/check.h"
#include "../../src/core/event.h"
#include "../../src/core/object.h"
#include "peers.h"

static void say(void *arg, const char *what)
{
    (void)arg;
    fprintf(stderr, "cmp_check: %s\n", what);
}

static cmp_ref make_event(void)
{
    cmp_ref ref = 0;
    void *cell;
    CHECK_EQ(cmp_object_create(CMP_TYPE_EVENT, sizeof(struct cmp_event), &ref, &cell), 0);
    if (ref != 0)
        cmp_event_init(cell);
    return ref;
}

static bool is_there(cmp_ref ref)
{
    void *cell;
    int rc = cmp_object_take(ref, CMP_TYPE_EVENT, &cell);
    if (rc == 0)
        cmp_object_drop(ref);
    return rc == 0;
}

static uint32_t n_taken_slots(void)
{
    uint32_t n = 0;
    for (uint32_t i = 0, end = cmp_slot_count(); i < end; i++)
        n += cmp_state_phase(load64_seqcst(&cmp_slot_at(i)->state)) != CMP_SLOT_FREE;
    return n;
}

static int next_fd(void)
{
    int fd = dup(0);
    close(fd);
    return fd;
}

static void hold_on(void *arg)
{
    CHECK(is_there(*(cmp_ref *)arg));
}

/* The creator drops it right after the fork; then it is the child's alone. */
static void test_child_has_it(void)
{
    cmp_ref ref = make_event();
    begin();
    pid_t pid = start_peer(hold_on, &ref);
    cmp_object_drop(ref);
    CHECK_EQ(cmp_sweep(), 0);
    CHECK(is_there(ref)); /* by way of the child */
    kill(pid, SIGSTOP);
    CHECK(reaches(pid, 'T'));
    CHECK_EQ(cmp_sweep(), 0);
    CHECK(is_there(ref));
    check_killed(pid);
    CHECK_EQ(cmp_sweep(), 1);
    CHECK(!is_there(ref));
}

/* In a child, dropped before and after; and what it makes is its own. */
static int drop_in_child(void *arg)
{
    cmp_ref ref = *(cmp_ref *)arg, mine = make_event();
    cmp_object_drop(ref);
    CHECK(is_there(ref)); /* by way of the parent */
    cmp_object_drop(mine);
    CHECK(!is_there(mine));
    return 0;
}

static void test_child_drops(void)
{
    cmp_ref ref = make_event();
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(exit_code(start_child(drop_in_child, &ref)), 0);
        cmp_sweep();
        CHECK(is_there(ref));
    }
    cmp_object_drop(ref);
    CHECK_EQ(cmp_sweep(), 1);
}

/* Grandchildren, whose parents end at once. */
static int fork_on(void *arg)
{
    for (int i = 0; i < 3; i++) {
        pid_t pid = fork();
        if (pid != 0)
            _exit(0);
    }
    CHECK(is_there(*(cmp_ref *)arg));
    tell(&stage->ready);
    await(&stage->go, 1);
    CHECK(is_there(*(cmp_ref *)arg));
    tell(&stage->count);
    return 0;
}

static void test_generations(void)
{
    cmp_ref ref = make_event();
    begin();
    CHECK_EQ(exit_code(start_child(fork_on, &ref)), 0);
    cmp_object_drop(ref);
    await(&stage->ready, 1);
    cmp_sweep();
    CHECK(is_there(ref));
    tell(&stage->go);
    await(&stage->count, 1);
    for (int i = 0; i < 1000 && cmp_sweep() != 1; i++)
        sleep_ms(1);
    CHECK(!is_there(ref));
}

static void test_descriptors(void)
{
    int before = next_fd();
    for (int i = 0; i < 10; i++) {
        pid_t pid = fork_child();
        if (pid == 0)
            _exit(next_fd() != before);
        CHECK_EQ(exit_code(pid), 0);
        CHECK_EQ(next_fd(), before);
    }
}

static int check_member(void *arg)
{
    CHECK(cmp_me() != 0);
    CHECK(is_there(*(cmp_ref *)arg));
    return 0;
}

static int without_descriptors(void *arg)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_NOFILE, &none);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(exit_code(start_child(check_member, arg)), 0);
    return 0;
}

static int without_birth_locks(void *arg)
{
    struct cmp_embryo embryo;
    cmp_platform_pretend(CMP_LACKS_OFD);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(exit_code(start_child(check_member, arg)), 0);
    CHECK_EQ(cmp_embryo_create(&embryo), 0);
    CHECK(embryo.fd >= 0 && embryo.fd != cmp_family_fd()); /* a child needs the file */
    CHECK_EQ(cmp_embryo_give(&embryo, *(cmp_ref *)arg), 0);
    cmp_sweep(); /* nobody can say that it will not be born */
    CHECK_EQ(cmp_embryo_give(&embryo, *(cmp_ref *)arg), 0);
    CHECK_EQ(cmp_embryo_adopt(&embryo), 0);
    return 0;
}

/* Joining closes no copy of what carries the birth lock before the embryo is adopted: a
   sweep in between, anybody's, leaves it alone. */
static int join_then_sweep(void *arg)
{
    struct cmp_embryo embryo;
    uint32_t version = 0;
    CHECK_EQ(cmp_embryo_create(&embryo), 0);
    CHECK_EQ(cmp_embryo_give(&embryo, *(cmp_ref *)arg), 0);
    CHECK_EQ(cmp_family_join(embryo.fd, &version), 0); /* a member already, as under forkserver */
    cmp_sweep();
    CHECK_EQ(cmp_embryo_give(&embryo, *(cmp_ref *)arg), 0);
    CHECK_EQ(cmp_embryo_adopt(&embryo), 0);
    return 0;
}

/* fork() fails after the slot was prepared. */
static int failing_forks(void *arg)
{
    (void)arg;
    cmp_sweep();
    int fd = next_fd();
    uint32_t n_before = n_taken_slots();
    struct sock_filter refuse[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof refuse / sizeof *refuse, refuse};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        return 0; /* a sandbox of another kind */
    cmp_ref ref = make_event();
    for (int i = 0; i < 5; i++) {
        CHECK(fork() < 0 && errno == EAGAIN);
        CHECK_EQ(next_fd(), fd);
    }
    CHECK_EQ(n_taken_slots(), n_before + 5);
    cmp_object_drop(ref);
    CHECK_EQ(cmp_sweep(), 1); /* what was prepared keeps nothing alive */
    CHECK_EQ(n_taken_slots(), n_before);
    return 0;
}

/* Only a prefork server's parent lives on: slots and memory stay few. */
static void test_many(void)
{
    int n = SLOW ? 50 : 600;
    cmp_ref ref = make_event();
    for (int i = 0; i < n; i++) {
        pid_t pid = fork_child();
        if (pid == 0)
            _exit(!is_there(ref));
        CHECK_EQ(exit_code(pid), 0);
    }
    CHECK(cmp_slot_count() <= 2 * CMP_SLOTS_PER_EXTENT);
    cmp_object_drop(ref);
    cmp_sweep();
    CHECK(!is_there(ref));
}

/* ---- the arena is made by a fork ------------------------------------------------- */

static int first_fork(void)
{
    CHECK_EQ(cmp_owner_atfork_install(), 0);
    CHECK(cmp_family_id() == NULL);
    pid_t pid = fork_child();
    if (pid == 0)
        _exit(cmp_family_id() == NULL || cmp_me() == 0);
    CHECK_EQ(exit_code(pid), 0);
    CHECK(cmp_family_id() != NULL);
    return n_failed;
}

/* ---- threads --------------------------------------------------------------------- */

static void *fork_some(void *arg)
{
    for (int i = 0; i < (SLOW ? 3 : 15); i++) {
        cmp_ref ref = make_event();
        pid_t pid = fork_child();
        if (pid == 0) {
            bool fine = is_there(ref) && cmp_me() != 0;
            cmp_object_drop(ref);
            ref = make_event();
            cmp_object_drop(ref);
            _exit(!fine || n_failed);
        }
        cmp_object_drop(ref);
        CHECK_EQ(exit_code(pid), 0);
    }
    return arg;
}

static void test_threads(void)
{
    pthread_t t[6];
    for (int i = 0; i < 6; i++)
        pthread_create(&t[i], NULL, fork_some, NULL);
    for (int i = 0; i < 6; i++)
        pthread_join(t[i], NULL);
}

/* ---- storms ---------------------------------------------------------------------- */

static uint32_t roll(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

/* Some of everything, with descendants, who go on with what they have inherited. */
static void live(uint32_t seed, int depth)
{
    cmp_ref refs[20] = {0};
    for (int i = 0; i < 60; i++) {
        cmp_ref *ref = &refs[roll(&seed) % 20];
        switch (roll(&seed) % 8) {
        case 0:
            if (depth > 0 && roll(&seed) % 3 == 0 && fork() == 0) {
                depth--;
                seed += (uint32_t)i;
                i = 0;
            }
            break;
        case 1:
            if (roll(&seed) % 8 == 0)
                cmp_sweep();
            break;
        case 2:
        case 3:
            if (*ref != 0)
                cmp_object_drop(*ref);
            *ref = 0;
            break;
        default:
            if (*ref == 0)
                *ref = make_event();
            else if (!is_there(*ref))
                _exit(1);
        }
    }
    _exit(n_failed != 0);
}

static void test_storm(void)
{
    enum { N = 12 };
    cmp_ref ref = make_event();
    uint32_t seed = (uint32_t)cmp_now_ns();
    pid_t pid[N];
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* so that all descendants can be waited for */
    for (int round = 0; round < (SLOW ? 1 : 6); round++) {
        for (int i = 0; i < N; i++) {
            pid[i] = fork_child();
            if (pid[i] == 0)
                live(seed + (uint32_t)(round * N + i), 3);
        }
        for (int i = 0; i < N; i++) {
            usleep(roll(&seed) % 3000);
            if (i % 3 == 0)
                kill(pid[i], SIGSTOP);
            cmp_sweep();
            CHECK(is_there(ref));
            if (i % 3 != 2)
                kill(pid[i], SIGKILL);
        }
        int status;
        while (wait(&status) > 0)
            CHECK(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
    }
    cmp_sweep();
    CHECK_EQ(cmp_sweep(), 0);
    CHECK_EQ(n_taken_slots(), 1);
    CHECK(is_there(ref));
    CHECK_EQ(cmp_check(say, NULL), 0);
    cmp_object_drop(ref);
}

int main(void)
{
    start(140);
    stage = shared(sizeof *stage);
    pid_t pid = fork_child();
    if (pid == 0)
        _exit(first_fork() != 0);
    CHECK_EQ(exit_code(pid), 0);
    start_family(140);
    cmp_ref ref = make_event();
    test_child_has_it();
    test_child_drops();
    test_generations();
    test_descriptors();
    CHECK_EQ(exit_code(start_child(failing_forks, NULL)), 0);
    CHECK_EQ(exit_code(start_child(without_descriptors, &ref)), 0);
    CHECK_EQ(exit_code(start_child(without_birth_locks, &ref)), 0);
    CHECK_EQ(exit_code(start_child(join_then_sweep, &ref)), 0);
    cmp_object_drop(ref);
    cmp_sweep();
    test_many();
    test_threads();
    cmp_sweep();
    CHECK_EQ(cmp_check(say, NULL), 0);
    test_storm();
    return done();
}
