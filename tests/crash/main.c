/* main.c -- go through all trials of all scenarios.

   usage: crash [options] single|double [PART OF A NAME]...
     single   kill the victim at each of its points
     double   and, for each of these, a second actor at each of its points
     -s N     take every N-th point (of the first victim, and of the second)
     -t N     be done in about N seconds: scenarios by chance, each with its share of the time, in
              which its points are tried from coarse steps to fine ones, as far as it goes
     -n N     workers, each with a processor of its own
     -l MS    what takes longer is a hang                      -m N  findings per scenario
     -k K -o SECOND -j J   this one trial only, told in full   -q    only what fails
     -H FILE  names of all hooks of the sources: each must have killed somebody
   One line a scenario: kill points, trials, kills, hangs, violations, seconds.
   Exit status 0: no hang, no violation, every hook covered.  */
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "harness.h"

#define MAX_SCENARIOS 512
#define TRIAL_SECONDS 40
#define COARSEST 32 /* times the step of a scenario */

static const struct scenario *scenarios[MAX_SCENARIOS];
static int n_scenarios;

static struct {
    bool twice, quiet, one;
    long step, seconds, k, j;
    int second, n_workers;
    char **names;
    int n_names;
} want = {.second = -1};

static int64_t begun_ns, share_until_ns; /* of all; of this worker's scenario */

static struct {
    cmp_word next, n_played, n_left_out;
    cmp_word64 trials, kills, hangs, violations;
} *total;

void add_scenarios(const struct scenario *list, int n)
{
    for (int i = 0; i < n && n_scenarios < MAX_SCENARIOS; i++)
        scenarios[n_scenarios++] = &list[i];
}

/* So that in the long run none is left out, where there is no time for all.  */
static void shuffle_scenarios(void)
{
    srandom((unsigned int)cmp_now_ns());
    for (int i = n_scenarios - 1; i > 0; i--) {
        int j = (int)(random() % (i + 1));
        const struct scenario *s = scenarios[i];
        scenarios[i] = scenarios[j];
        scenarios[j] = s;
    }
}

static void *shared_memory(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        perror("mmap");
        exit(2);
    }
    return p;
}

/* ---- one trial --------------------------------------------------------------------- */

static volatile pid_t director;

static void on_alarm(int signal)
{
    (void)signal;
    if (director > 0)
        kill(director, SIGKILL);
}

/* What a dead director has left comes to its subreaper, this worker.  */
static void kill_leftovers(void)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    for (int rounds = 0; rounds < 100; rounds++) {
        FILE *f = fopen(path, "re");
        size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
        if (f != NULL)
            fclose(f);
        while (n > 0 && text[n - 1] != ' ')
            n--; /* not half a number */
        text[n] = 0;
        if (n == 0)
            return;
        for (char *p = text, *end; *p; p = end + strspn(end, " ")) {
            pid_t pid = (pid_t)strtol(p, &end, 10);
            if (pid <= 0)
                break;
            kill(pid, SIGKILL);
            waitpid(pid, NULL, __WALL);
        }
    }
}

static void try_once(const struct scenario *s, long k, int second, long j)
{
    int status;
    memset(verdict, 0, sizeof *verdict);
    fflush(NULL);
    director = fork();
    if (director == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        play_trial(s, k, second, j);
        _exit(0);
    }
    alarm(TRIAL_SECONDS);
    while (waitpid(director, &status, 0) < 0 && errno == EINTR)
        ;
    alarm(0);
    if (!verdict->ran_through) {
        size_t used = strlen(verdict->text);
        verdict->violations++;
        snprintf(verdict->text + used, sizeof verdict->text - used, "    the director did not end: status %#x\n", status);
    }
    kill_leftovers();
}

/* ---- all trials of a scenario ------------------------------------------------------- */

struct tally {
    long points, every, trials, kills, hangs, violations;
    long strays; /* from the trail */
    char *text;
    size_t length;
    FILE *out;
};

static bool too_many(const struct tally *t)
{
    return t->hangs + t->violations >= options.max_findings;
}

static void count_trial(struct tally *t, long k, int second, long j)
{
    t->trials++;
    t->kills += verdict->n_kills;
    t->hangs += verdict->hangs != 0;
    t->violations += verdict->violations != 0;
    if (verdict->hangs + verdict->violations == 0 && !options.verbose)
        return;
    fprintf(t->out, "  k %ld", k);
    if (second >= 0)
        fprintf(t->out, ", second %d, j %ld", second, j);
    fprintf(t->out, ":%s%s\n%s", verdict->hangs ? " HANG" : "", verdict->violations ? " VIOLATION" : "", verdict->text);
}

/* Trials tell where their victims were killed only if asked: so ask, once it matters.  */
static void try_and_count(const struct scenario *s, struct tally *t, long k, int second, long j)
{
    try_once(s, k, second, j);
    bool victim_ended = verdict->victim_ended, second_ended = verdict->second_ended;
    if (verdict->hangs + verdict->violations != 0 && !options.verbose) {
        struct verdict first = *verdict;
        options.verbose = true;
        try_once(s, k, second, j);
        options.verbose = false;
        if (verdict->hangs + verdict->violations == 0) {
            size_t used = strlen(first.text);
            snprintf(first.text + used, sizeof first.text - used, "    not so when repeated:\n%.800s", verdict->text);
            *verdict = first;
        }
        verdict->n_kills = first.n_kills;
    }
    count_trial(t, k, second, j);
    verdict->victim_ended = victim_ended;
    verdict->second_ended = second_ended;
}

/* It strayed from the trail if it ended before its last point: again, step by step.  */
static void try_on_trail(const struct scenario *s, struct tally *t, long k, int second, long j)
{
    struct trail *first = &trails[0], *other = &trails[1];
    bool known = first->known, other_known = other->known;
    long kills_before = t->kills;
    try_and_count(s, t, k, second, j);
    bool strayed = (known && k < first->n && verdict->victim_ended) ||
                   (second >= 0 && other_known && j < other->n && verdict->second_ended);
    if (!strayed || too_many(t))
        return;
    t->strays++;
    t->trials--;
    t->kills = kills_before;
    first->known = other->known = false;
    try_and_count(s, t, k, second, j);
    first->known = known;
    other->known = other_known;
}

/* Lead a victim through all its points once, and keep its trail.  */
static void record(const struct scenario *s, struct tally *t, int who, long k, int second)
{
    struct trail *trail = &trails[who];
    *trail = (struct trail){.recording = true};
    try_and_count(s, t, who == 0 ? MAX_POINTS : k, second, MAX_POINTS);
    trail->recording = false;
    trail->known = trail->n > 0 && !options.hooked && !(s->flags & OWN_WAY);
}

static void explore_second(const struct scenario *s, struct tally *t, long k, long step)
{
    bool victim_ended = false;
    for (int second = 0; second < s->n_seconds && !too_many(t); second++) {
        if (!options.hooked)
            record(s, t, 1, k, second);
        for (long j = 0; j < MAX_POINTS && !too_many(t); j += step) {
            try_on_trail(s, t, k, second, j);
            victim_ended |= verdict->victim_ended;
            if (verdict->second_ended)
                break;
        }
        trails[1].known = false;
    }
    verdict->victim_ended = victim_ended || s->n_seconds == 0;
}

static long step_of(const struct scenario *s)
{
    if (options.hooked)
        return 1;
    if (want.step > 0)
        return want.step;
    return s->step > 0 ? s->step : 1;
}

/* From the first point on, so many on each time, to the end of the victim: there t->points is.  */
static void explore_from(const struct scenario *s, struct tally *t, long first, long step, long fine)
{
    for (long k = first; k < t->points && !too_many(t); k += step) {
        if (first > 0 && want.seconds > 0 && cmp_now_ns() > share_until_ns)
            return;
        if (want.twice || s->flags & IN_STEP)
            explore_second(s, t, k, s->flags & IN_STEP || want.step > 0 ? fine : 1);
        else
            try_on_trail(s, t, k, -1, 0);
        if (verdict->victim_ended && !(trails[0].known && k < trails[0].n))
            t->points = k;
    }
    t->every = fine;
}

static void explore_all(const struct scenario *s, struct tally *t)
{
    bool all = want.seconds == 0 || s->flags & OWN_WAY;
    long step = step_of(s), coarsest = all ? step : step * COARSEST;
    if (!options.hooked && !(s->flags & OWN_WAY))
        record(s, t, 0, 0, -1);
    t->points = MAX_POINTS;
    explore_from(s, t, 0, coarsest, coarsest);
    if (t->points >= MAX_POINTS && !too_many(t)) {
        fprintf(t->out, "  its victim never ended\n");
        t->hangs++;
    }
    for (long fine = coarsest / 2; fine >= step; fine /= 2)
        explore_from(s, t, fine, 2 * fine, fine);
}

static void explore(const struct scenario *s, struct tally *t)
{
    if (want.one) {
        try_once(s, want.k, want.second, want.j);
        count_trial(t, want.k, want.second, want.j);
    } else {
        explore_all(s, t);
    }
    trails[0].known = trails[1].known = false;
}

static void report(const struct scenario *s, const struct tally *t, double seconds)
{
    char line[512];
    bool bad = t->hangs + t->violations > 0;
    add64_seqcst(&total->trials, (uint64_t)t->trials);
    add64_seqcst(&total->kills, (uint64_t)t->kills);
    add64_seqcst(&total->hangs, (uint64_t)t->hangs);
    add64_seqcst(&total->violations, (uint64_t)t->violations);
    add_seqcst(&total->n_played, 1);
    if (want.quiet && !bad)
        return;
    char every[40] = "";
    if (t->every > 1)
        snprintf(every, sizeof every, " (every %ld)", t->every);
    char strays[40] = "";
    if (t->strays > 0)
        snprintf(strays, sizeof strays, " (%ld strayed)", t->strays);
    snprintf(line, sizeof line, "%-62s points %4ld%s trials %5ld%s kills %5ld hangs %ld violations %ld %6.1f s\n",
             s->name, t->points, every, t->trials, strays, t->kills, t->hangs, t->violations, seconds);
    printf("%s%s", line, t->text ? t->text : "");
    fflush(stdout);
}

static bool is_wanted(const struct scenario *s)
{
    if (want.twice && (s->n_seconds == 0 || (options.hooked && s->flags & IN_STEP)))
        return false; /* those in step are gone through by pairs anyway */
    if (options.hooked && s->flags & OWN_WAY)
        return false;
    for (int i = 0; i < want.n_names; i++)
        if (strstr(s->name, want.names[i]) != NULL)
            return true;
    return want.n_names == 0;
}

/* ---- workers ------------------------------------------------------------------------ */

/* What is left of the time, divided among the scenarios from the i-th on.  Whether there is any.  */
static bool take_share(uint32_t i)
{
    int64_t now_ns = cmp_now_ns(), left_ns = begun_ns + want.seconds * INT64_C(1000000000) - now_ns;
    int n = 0;
    for (; i < (uint32_t)n_scenarios; i++)
        n += is_wanted(scenarios[i]);
    share_until_ns = now_ns + left_ns / n * (n < want.n_workers ? n : want.n_workers);
    return left_ns > 0;
}

static void work(void)
{
    struct sigaction on = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &on, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    board = shared_memory(sizeof *board);
    verdict = shared_memory(sizeof *verdict);
    trails = shared_memory(2 * sizeof *trails);
    for (uint32_t i; (i = add_seqcst(&total->next, 1)) < (uint32_t)n_scenarios;) {
        struct tally t = {0};
        if (!is_wanted(scenarios[i]))
            continue;
        if (!take_share(i) && want.seconds > 0) {
            add_seqcst(&total->n_left_out, 1);
            continue;
        }
        t.out = open_memstream(&t.text, &t.length);
        int64_t begin = cmp_now_ns();
        explore(scenarios[i], &t);
        fclose(t.out);
        report(scenarios[i], &t, (double)(cmp_now_ns() - begin) / 1e9);
        free(t.text);
    }
}

/* The n-th processor that this process may use. */
static void pin(int n)
{
    cpu_set_t all, one;
    sched_getaffinity(0, sizeof all, &all);
    int count = CPU_COUNT(&all);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &all) && n-- % count == 0) {
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            sched_setaffinity(0, sizeof one, &one);
            return;
        }
}

/* A processor that has gone to sleep takes long to wake up, in a virtual machine above all,
   and trials are made of short waits: something always runs on it, when nothing else does.  */
static void keep_awake(void)
{
    pid_t worker = getpid();
    if (fork() != 0)
        return;
    struct sched_param none = {0};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != worker || sched_setscheduler(0, SCHED_IDLE, &none) < 0)
        _exit(0);
    for (;;)
        compiler_barrier();
}

static int run_workers(int n)
{
    int failed = 0, status;
    for (int i = 0; i < n; i++) {
        fflush(NULL);
        pid_t pid = fork();
        if (pid == 0) {
            pin(i);
            keep_awake();
            work();
            exit(0);
        }
    }
    while (wait(&status) > 0)
        failed |= status != 0;
    return failed;
}

static int report_hooks(void)
{
    int uncovered = 0;
    for (int i = 0; i < options.n_hooks; i++) {
        struct hook *h = &options.hooks[i];
        if (load_seqcst(&h->killed) != 0)
            continue;
        printf("hook %s has killed nobody%s\n", h->name, load_seqcst(&h->passed) ? "" : ", and nobody passed it");
        uncovered++;
    }
    printf("%d hooks, %d of them in no trial\n", options.n_hooks, uncovered);
    return uncovered;
}

static void read_hooks(const char *path)
{
    FILE *f = fopen(path, "re");
    options.hooks = shared_memory(MAX_HOOKS * sizeof *options.hooks);
    while (f != NULL && options.n_hooks < MAX_HOOKS &&
           fscanf(f, "%55s", options.hooks[options.n_hooks].name) == 1)
        options.n_hooks++;
    if (f == NULL || options.n_hooks == 0) {
        fprintf(stderr, "no hooks in %s\n", path);
        exit(2);
    }
    fclose(f);
    options.hooked = true;
}

static void read_options(int argc, char **argv)
{
    int c;
    options.limit_ms = 3000;
    options.max_findings = 5;
    while ((c = getopt(argc, argv, "s:t:n:l:m:k:o:j:H:q")) != -1) {
        switch (c) {
        case 's': want.step = atol(optarg); break;
        case 't': want.seconds = atol(optarg); break;
        case 'n': want.n_workers = atoi(optarg); break;
        case 'l': options.limit_ms = atoi(optarg); break;
        case 'm': options.max_findings = atoi(optarg); break;
        case 'k': want.k = atol(optarg); want.one = options.verbose = true; break;
        case 'o': want.second = atoi(optarg); break;
        case 'j': want.j = atol(optarg); break;
        case 'H': read_hooks(optarg); break;
        case 'q': want.quiet = true; break;
        default: exit(2);
        }
    }
    if (optind == argc || (strcmp(argv[optind], "single") && strcmp(argv[optind], "double"))) {
        fprintf(stderr, "usage: %s [options] single|double [PART OF A NAME]...\n", argv[0]);
        exit(2);
    }
    want.twice = strcmp(argv[optind], "double") == 0;
    want.names = argv + optind + 1;
    want.n_names = argc - optind - 1;
}

int main(int argc, char **argv)
{
    cpu_set_t cpus;
    read_options(argc, argv);
    total = shared_memory(sizeof *total);
    tracer_init();
    sched_getaffinity(0, sizeof cpus, &cpus);
    begun_ns = cmp_now_ns();
    if (want.seconds > 0)
        shuffle_scenarios();
    if (want.n_workers <= 0)
        want.n_workers = CPU_COUNT(&cpus);
    int failed = run_workers(want.n_workers);
    uint32_t played = load_seqcst(&total->n_played);
    printf("%u scenarios, %llu trials, %llu kills, %llu hangs, %llu violations\n", played,
           (unsigned long long)load64_seqcst(&total->trials), (unsigned long long)load64_seqcst(&total->kills),
           (unsigned long long)load64_seqcst(&total->hangs), (unsigned long long)load64_seqcst(&total->violations));
    if (load_seqcst(&total->n_left_out) > 0)
        printf("%u scenarios were left out: there was no time for them\n", load_seqcst(&total->n_left_out));
    if (options.hooked && want.n_names == 0 && !want.one && !want.twice)
        failed |= report_hooks() != 0;
    return failed || played == 0 || load64_seqcst(&total->hangs) + load64_seqcst(&total->violations) != 0;
}
