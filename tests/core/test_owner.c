/* Description: the process table. What an owner code says of a process that lives, is
   stopped, killed, exec'd, whose registering thread has ended; slots that are used
   again; codes and slots that are damaged. */
#include <sys/syscall.h>
#include "../../src/core/check.h"
#include "../../src/core/object.h"
#include "peers.h"

#ifdef __SANITIZE_THREAD__
#define TSAN 1 /* it loses its way where the first thread ends, or threads are left by a fork */
#else
#define TSAN 0
#endif

static uint32_t peer_code(void)
{
    return load_acquire(&stage->result);
}

static void tell_code(void *arg)
{
    (void)arg;
    store_release(&stage->result, cmp_me());
}

static enum cmp_hint hint_of(uint32_t code)
{
    uint32_t word;
    return cmp_owner_hint(code, 0, &word);
}

static enum cmp_end confirm(uint32_t code, int64_t wait_ms, bool *known)
{
    struct cmp_look look = CMP_LOOK_INIT;
    enum cmp_end end;
    int64_t until = after_ms(wait_ms);
    do
        end = cmp_owner_confirm(&look, code, known, until);
    while (end == CMP_END_NOT_YET && cmp_now_ns() < until);
    cmp_look_close(&look);
    return end;
}

static void say(void *arg, const char *what)
{
    (void)arg;
    fprintf(stderr, "cmp_check: %s\n", what);
}

static uint32_t slot_number(uint32_t code)
{
    return code & (CMP_SLOTS - 1);
}

/* ---- living and dying ------------------------------------------------------------ */

static void test_self(void)
{
    uint32_t code = cmp_me(), word;
    bool known;
    CHECK((code & CMP_CODE_TAG) != 0 && (code & ~CMP_CODE_MASK) == 0);
    CHECK_EQ(cmp_me_errno(), 0);
    CHECK_EQ(cmp_owner_pid(code), getpid());
    CHECK_EQ(confirm(code, 0, &known), CMP_END_NOT_YET);
    CHECK(known);
    for (unsigned int node = 0; node < CMP_HOLD_WORDS; node++) {
        CHECK_EQ(cmp_owner_hint(code, node, &word), CMP_HINT_ALIVE);
        CHECK_EQ(word, (uint32_t)getpid() | CMP_WAITERS);
    }
    cmp_owner_seen_here();
    CHECK(cmp_owner_cpu(code) >= 0);
}

static void test_killed(void)
{
    bool known;
    uint32_t word;
    begin();
    pid_t pid = start_peer(tell_code, NULL);
    uint32_t code = peer_code();
    CHECK_EQ(cmp_owner_pid(code), pid);
    CHECK_EQ(cmp_owner_hint(code, 5, &word), CMP_HINT_ALIVE);
    kill(pid, SIGSTOP);
    CHECK(reaches(pid, 'T'));
    CHECK_EQ(hint_of(code), CMP_HINT_ALIVE);
    CHECK_EQ(confirm(code, 30, &known), CMP_END_NOT_YET);

    struct cmp_watch watch = {cmp_owner_hold(code, 5), word};
    kill(pid, SIGKILL); /* the kernel wakes who sleeps on its words */
    cmp_park(&watch, 1, after_ms(5000));
    CHECK_EQ(load_acquire(watch.word), CMP_OWNER_DIED | CMP_WAITERS);
    CHECK_EQ(cmp_owner_hint(code, 5, &word), CMP_HINT_DEAD);
    CHECK_EQ(confirm(code, 5000, &known), CMP_END_ENDED);
    CHECK(known);
    CHECK(!cmp_owner_left_in_order(code));

    struct cmp_story story;
    status_of(pid);
    cmp_owner_story(code, &story);
    CHECK_EQ(story.pid, pid);
    CHECK(!story.has_status);
    cmp_owner_ended(pid, -SIGKILL);
    cmp_owner_story(code, &story);
    CHECK(story.has_status);
    CHECK_EQ(story.status, -SIGKILL);

    cmp_sweep(); /* the slot is free, and tells until it is claimed again */
    CHECK_EQ(hint_of(code), CMP_HINT_GONE);
    CHECK_EQ(confirm(code, 0, &known), CMP_END_ENDED);
    CHECK(!known);
    CHECK(cmp_owner_left_in_order(code));
    cmp_owner_ended(pid, 0); /* of a later process with that pid */
    cmp_owner_story(code, &story);
    CHECK_EQ(story.pid, pid);
    CHECK_EQ(story.status, -SIGKILL);
}

static void *confirm_within(void *code)
{
    bool known;
    return (void *)(intptr_t)confirm(*(uint32_t *)code, 5000, &known);
}

static void test_confirm_waits(void)
{
    begin();
    pid_t pid = start_peer(tell_code, NULL);
    uint32_t code = peer_code();
    pthread_t t;
    void *end;
    pthread_create(&t, NULL, confirm_within, &code);
    sleep_ms(20);
    int64_t killed = cmp_now_ns();
    kill(pid, SIGKILL);
    pthread_join(t, &end);
    CHECK_EQ((intptr_t)end, CMP_END_ENDED);
    CHECK(cmp_now_ns() - killed < 4000 * MS);
    status_of(pid);
}

static void test_left_in_order(void)
{
    bool known;
    begin();
    pid_t pid = fork_child();
    if (pid == 0) {
        tell_code(NULL);
        exit(3); /* exit functions run: it left in order */
    }
    CHECK_EQ(exit_code(pid), 3);
    CHECK_EQ(confirm(peer_code(), 5000, &known), CMP_END_ENDED);
    CHECK(cmp_owner_left_in_order(peer_code()));
    cmp_owner_ended(pid, 3);
    CHECK(cmp_owner_left_in_order(peer_code())); /* one does not undo the other */

    for (int stays = 0; stays < 2; stays++) {
        pid = fork_child();
        if (pid == 0) {
            tell_code(NULL);
            cmp_owner_leave();
            if (stays)
                cmp_owner_stay();
            _exit(0);
        }
        status_of(pid);
        CHECK_EQ(cmp_owner_left_in_order(peer_code()), !stays);
    }
}

static void exec_sleep(void)
{
    tell_code(NULL);
    execl("/bin/sleep", "sleep", "100", (char *)NULL);
    _exit(127);
}

static void test_exec(void)
{
    bool known;
    begin();
    pid_t pid = fork_child();
    if (pid == 0)
        exec_sleep();
    while (peer_code() == 0 || hint_of(peer_code()) == CMP_HINT_ALIVE)
        sleep_ms(1);
    CHECK_EQ(hint_of(peer_code()), CMP_HINT_DEAD);
    CHECK_EQ(confirm(peer_code(), 5000, &known), CMP_END_EXECED);
    CHECK(known);
    cmp_sweep();
    CHECK_EQ(hint_of(peer_code()), CMP_HINT_GONE);
    kill_and_reap(pid);
}

/* ---- threads --------------------------------------------------------------------- */

static void *register_here(void *arg)
{
    CHECK_EQ(cmp_family_init(), 0);
    tell_code(NULL);
    return arg;
}

static void *act_and_exit(void *arg)
{
    *(uint32_t *)arg = cmp_me();
    return NULL;
}

/* In a fresh process: a thread makes the arena and ends. */
static int thread_registers(void)
{
    pthread_t t;
    uint32_t word, code, again;
    bool known;
    pthread_create(&t, NULL, register_here, NULL);
    pthread_join(t, NULL);
    code = peer_code();
    CHECK(code != 0);
    CHECK_EQ(hint_of(code), CMP_HINT_ORPHANED);
    CHECK_EQ(confirm(code, 0, &known), CMP_END_NOT_YET);
    CHECK_EQ(cmp_owner_pid(code), getpid());
    CHECK_EQ(cmp_me(), code); /* linked again, by this thread */
    CHECK_EQ(cmp_owner_hint(code, 7, &word), CMP_HINT_ALIVE);
    CHECK_EQ(word & CMP_TID_MASK, cmp_tid());
    for (int i = 0; i < 3; i++) {
        pthread_create(&t, NULL, act_and_exit, &again);
        pthread_join(t, NULL);
        CHECK_EQ(again, code);
        CHECK_EQ(hint_of(code), CMP_HINT_ALIVE); /* the words are not that thread's */
    }
    return n_failed;
}

static void *stay(void *arg)
{
    (void)arg;
    for (;;)
        pause();
    return NULL;
}

static void *act_later(void *arg)
{
    (void)arg;
    while (load_acquire(&stage->go) == 0)
        usleep(100);
    CHECK_EQ(cmp_me(), peer_code());
    tell(&stage->count);
    return stay(NULL);
}

static pid_t start_leaderless(bool raw)
{
    begin();
    pid_t pid = fork_child();
    if (pid == 0) {
        pthread_t t;
        tell_code(NULL);
        pthread_create(&t, NULL, act_later, NULL);
        tell(&stage->ready);
        if (raw)
            syscall(SYS_exit, 0); /* no exit hook runs */
        pthread_exit(NULL);
    }
    await(&stage->ready, 1);
    CHECK(reaches(pid, 'Z'));
    return pid;
}

/* The first thread has ended, and another lives: the process lives. */
static void test_leader_ends(void)
{
    bool known;
    pid_t pid = start_leaderless(false);
    uint32_t code = peer_code();
    CHECK_EQ(hint_of(code), CMP_HINT_ORPHANED);
    CHECK_EQ(confirm(code, 30, &known), CMP_END_NOT_YET);
    CHECK_EQ(cmp_sweep(), 0);
    CHECK_EQ(hint_of(code), CMP_HINT_ORPHANED);
    tell(&stage->go); /* the other thread enters cmp: words again */
    await(&stage->count, 1);
    CHECK_EQ(hint_of(code), CMP_HINT_ALIVE);
    kill(pid, SIGKILL);
    CHECK_EQ(confirm(code, 5000, &known), CMP_END_ENDED);
    CHECK_EQ(hint_of(code), CMP_HINT_DEAD);
    status_of(pid);

    pid = start_leaderless(false); /* killed while it is orphaned */
    code = peer_code();
    kill(pid, SIGKILL);
    CHECK_EQ(confirm(code, 5000, &known), CMP_END_ENDED);
    CHECK_EQ(hint_of(code), CMP_HINT_ORPHANED);
    status_of(pid);
    cmp_sweep();
    CHECK_EQ(hint_of(code), CMP_HINT_GONE);
}

/* A thread that ends without its hook: the words say dead, the kernel does not. */
static void test_leader_vanishes(void)
{
    bool known;
    pid_t pid = start_leaderless(true);
    uint32_t code = peer_code();
    CHECK_EQ(hint_of(code), CMP_HINT_DEAD);
    CHECK_EQ(confirm(code, 50, &known), CMP_END_NOT_YET);
    CHECK(known);
    cmp_sweep();
    CHECK_EQ(hint_of(code), CMP_HINT_DEAD); /* not reaped */
    kill(pid, SIGKILL);
    CHECK_EQ(confirm(code, 5000, &known), CMP_END_ENDED);
    status_of(pid);
}

/* Who sleeps on the words of a thread that ends is woken, and finds ORPHANED. */
static void test_sleeper_sees_orphan(void)
{
    uint32_t word;
    begin();
    pid_t pid = fork_child();
    if (pid == 0) {
        pthread_t t;
        tell_code(NULL);
        pthread_create(&t, NULL, stay, NULL);
        tell(&stage->ready);
        await(&stage->go, 1);
        pthread_exit(NULL);
    }
    await(&stage->ready, 1);
    CHECK_EQ(cmp_owner_hint(peer_code(), 2, &word), CMP_HINT_ALIVE);
    struct cmp_watch watch = {cmp_owner_hold(peer_code(), 2), word};
    tell(&stage->go);
    cmp_park(&watch, 1, after_ms(10000));
    CHECK_EQ(hint_of(peer_code()), CMP_HINT_ORPHANED);
    kill_and_reap(pid);
}

/* Asked without end while threads come and go, it never says DEAD or GONE. */
static void *come_and_go(void *arg)
{
    for (int i = 0; i < *(int *)arg; i++) {
        pthread_t t;
        uint32_t code;
        pthread_create(&t, NULL, act_and_exit, &code);
        pthread_join(t, NULL);
    }
    return NULL;
}

static void test_never_dead(void)
{
    int n = SLOW ? 50 : 400, n_other = 0;
    begin();
    pid_t pid = fork_child();
    if (pid == 0) {
        pthread_t t;
        tell_code(NULL);
        pthread_create(&t, NULL, come_and_go, &n);
        tell(&stage->ready);
        pthread_exit(NULL); /* from now on each thread that comes registers anew */
    }
    await(&stage->ready, 1);
    uint32_t code = peer_code();
    while (state_of(pid, pid) != 0 && waitpid(pid, NULL, WNOHANG) == 0) {
        enum cmp_hint hint = hint_of(code);
        bool known;
        if ((hint == CMP_HINT_DEAD || hint == CMP_HINT_GONE) &&
            confirm(code, 0, &known) == CMP_END_NOT_YET)
            n_other++;
    }
    /* At its end the kernel marks the words before the pidfd tells. */
    CHECK(n_other <= 3);
}

/* ---- without robust words -------------------------------------------------------- */

static int lives_without_words(void)
{
    bool known;
    cmp_platform_pretend(CMP_LACKS_ROBUST);
    CHECK_EQ(cmp_family_init(), 0);
    uint32_t mine = cmp_me();
    CHECK(mine != 0);
    CHECK_EQ(hint_of(mine), CMP_HINT_ORPHANED);
    begin();
    pid_t pid = start_peer(tell_code, NULL);
    uint32_t code = peer_code();
    CHECK(code != 0 && code != mine);
    CHECK_EQ(hint_of(code), CMP_HINT_ORPHANED);
    CHECK_EQ(confirm(code, 30, &known), CMP_END_NOT_YET);
    kill(pid, SIGKILL);
    CHECK_EQ(confirm(code, 5000, &known), CMP_END_ENDED);
    status_of(pid);
    cmp_sweep();
    CHECK_EQ(hint_of(code), CMP_HINT_GONE);
    CHECK_EQ(cmp_check(say, NULL), 0);
    return n_failed;
}

/* ---- the table ------------------------------------------------------------------- */

static void test_damaged_codes(void)
{
    bool known;
    uint32_t word, codes[] = {0, 1, CMP_CODE_TAG | 8191, CMP_CODE_TAG | 5000, 0x3fffffff,
                              0xffffffff, 0x80000000, cmp_me() ^ 1u << 13, cmp_me() | 1u << 30};
    struct cmp_look look = CMP_LOOK_INIT;
    struct cmp_story story;
    uint32_t random = 12345;
    for (int i = 0; i < 20000; i++) {
        uint32_t code = i < 9 ? codes[i] : (random = random * 1664525 + 1013904223);
        if (code == cmp_me())
            continue;
        CHECK_EQ(cmp_owner_hint(code, (unsigned int)i, &word), CMP_HINT_GONE);
        CHECK_EQ(cmp_owner_confirm(&look, code, &known, 0), CMP_END_ENDED);
        CHECK(!known);
        CHECK(cmp_owner_left_in_order(code));
        cmp_owner_story(code, &story);
        cmp_owner_hold(code, 9);
        cmp_owner_relay(code, 0);
        cmp_owner_cpu(code);
    }
}

/* First freed, first used again: a slot's old codes are those of nobody for long. */
static void test_rotation(void)
{
    uint32_t last = UINT32_MAX;
    begin();
    for (int i = 0; i < 10; i++) {
        pid_t pid = start_peer(tell_code, NULL);
        CHECK(slot_number(peer_code()) != last);
        last = slot_number(peer_code());
        kill_and_reap(pid);
        cmp_sweep();
    }
}

/* A slot whose gen is about to wrap, in its 16 bits and in all 32. */
static void test_gen_wraps(void)
{
    static const uint32_t gens[] = {0xffff, 0xffffffff};
    for (unsigned int i = 0; i < 2; i++) {
        cmp_sweep();
        uint32_t next = (uint32_t)load64_relaxed(&cmp_arena()->owner_words[CMP_ARENA_SLOT_HINT]);
        struct cmp_slot *s = cmp_slot_at(next % cmp_slot_count());
        CHECK_EQ(cmp_state_phase(load64_relaxed(&s->state)), CMP_SLOT_FREE);
        store64_relaxed(&s->state, (uint64_t)gens[i] << 32);
        begin();
        pid_t pid = start_peer(tell_code, NULL);
        CHECK_EQ(cmp_slot_at(slot_number(peer_code())) == s, 1);
        CHECK_EQ(peer_code() >> CMP_SLOT_BITS & 0xffff, 0xffff);
        CHECK_EQ(hint_of(peer_code()), CMP_HINT_ALIVE);
        kill_and_reap(pid);
        cmp_sweep();
        CHECK_EQ(hint_of(peer_code()), CMP_HINT_GONE);
        CHECK_EQ(cmp_state_gen(load64_relaxed(&s->state)), gens[i] + 1);
    }
}

/* Slots that are taken by processes nobody can prove dead, made by hand. */
static void occupy(uint64_t from, uint64_t to)
{
    for (uint32_t i = 0, n = cmp_slot_count(); i < n; i++) {
        uint64_t seen = from;
        struct cmp_slot *s = cmp_slot_at(i);
        if (s != NULL && (load64_relaxed(&s->state) & UINT32_MAX) == from) {
            seen = load64_relaxed(&s->state);
            store64_relaxed(&s->state, (seen & ~(uint64_t)UINT32_MAX) | to);
        }
    }
}

static const uint64_t TAKEN = (uint64_t)CMP_SLOT_EMBRYO << 29 | CMP_STATE_UNLOCKED;

/* All 8192 are taken: forks go on, without a slot for the child; embryos and new
   members are refused. */
static int table_full(void)
{
    struct cmp_embryo embryo;
    CHECK_EQ(cmp_family_init(), 0);
    CHECK(cmp_me() != 0);
    while (cmp_slot_count() < CMP_SLOTS) {
        occupy(0, TAKEN);
        pid_t pid = fork_child(); /* makes 128 more */
        if (pid == 0)
            _exit(cmp_me() == 0);
        CHECK_EQ(status_of(pid), 0);
    }
    occupy(0, TAKEN);
    cmp_sweep(); /* the last children */
    occupy(0, TAKEN);
    pid_t pid = fork_child();
    if (pid == 0) {
        cmp_ref ref;
        void *cell;
        CHECK_EQ(cmp_me(), 0);
        CHECK_EQ(cmp_me_errno(), EUSERS);
        CHECK_EQ(cmp_object_create(CMP_TYPE_LOCK, 64, &ref, &cell), -EUSERS);
        pid_t grandchild = fork_child();
        if (grandchild == 0)
            _exit(cmp_me() != 0 || cmp_me_errno() != EUSERS);
        CHECK_EQ(status_of(grandchild), 0);
        _exit(n_failed);
    }
    CHECK_EQ(status_of(pid), 0);
    CHECK_EQ(cmp_embryo_create(&embryo), -EUSERS);
    CHECK(cmp_me() != 0);
    CHECK_EQ(cmp_check(say, NULL), 0);
    occupy(TAKEN, 0); /* and once there is room again: */
    pid = fork_child();
    if (pid == 0)
        _exit(cmp_me() == 0);
    CHECK_EQ(status_of(pid), 0);
    return n_failed;
}

static void in_fresh_process(int (*test)(void))
{
    begin();
    pid_t pid = fork_child();
    if (pid == 0)
        _exit(test() != 0);
    CHECK_EQ(exit_code(pid), 0);
}

int main(void)
{
    start(140);
    stage = shared(sizeof *stage);
    in_fresh_process(thread_registers); /* before this process has an arena */
    in_fresh_process(lives_without_words);
    if (!SLOW)
        in_fresh_process(table_full);
    start_family(140);
    test_self();
    test_killed();
    test_confirm_waits();
    test_left_in_order();
    test_exec();
    if (!TSAN) {
        test_leader_ends();
        test_leader_vanishes();
        test_sleeper_sees_orphan();
        test_never_dead();
    }
    test_damaged_codes();
    test_rotation();
    test_gen_wraps();
    cmp_sweep();
    CHECK_EQ(cmp_check(say, NULL), 0);
    return done();
}
