/* linux_robust.c -- words of ours in the robust list that libc registered for this
   thread, beside libc's own robust mutexes; and a call at the end of a thread.

   The list is circular, by the address of each entry's next; prev, which only libc
   and this file read, lies 8 bytes before it.  Bit 0 of a next says that the entry
   it points to is a priority-inheriting mutex.  The kernel follows next alone, so
   each step below leaves it a list that ends at the head.  */
#include "linux.h"
#include <linux/futex.h>
#include <pthread.h>
#include "../core/cmp.h"

#define PI_BIT ((uintptr_t)1)

static FAST_THREAD_LOCAL struct robust_list_head *head; /* NULL: not asked yet */
static _Thread_local struct robust_list_head none;      /* stands for: no list of use */

void linux_robust_ask_anew(void)
{
    head = NULL;
}

/* glibc empties the child's list; musl leaves the parent's entries in it, among them
   ours, which lie in shared memory and are the parent's to change.  */
void linux_robust_after_fork(void)
{
    if (head != NULL)
        head->list.next = &head->list;
    head = NULL;
}

static bool offset_fits(const struct robust_list_head *h)
{
    return h->futex_offset ==
           (long)offsetof(struct cmp_node, word) - (long)offsetof(struct cmp_node, next);
}

/* This thread's list, or NULL.  */
static struct robust_list_head *list(void)
{
    if (head == NULL) {
        cmp_platform_init();
        struct robust_list_head *h =
            cmp_lacks(CMP_LACKS_ROBUST) ? NULL : linux_robust_head();
        head = h != NULL && offset_fits(h) ? h : &none;
    }
    return head != &none ? head : NULL;
}

bool cmp_robust_works(void)
{
    return list() != NULL;
}

/* Where the entry behind that next keeps its prev. */
static void *volatile *prev_of(void *next)
{
    return (void *volatile *)((uintptr_t)next & ~PI_BIT) - 1;
}

void cmp_robust_link(struct cmp_node *node)
{
    struct robust_list_head *h = list();
    if (h == NULL)
        return;
    void *first = h->list.next; /* with its bit */
    node->next = first;
    node->prev = &h->list;
    compiler_barrier();
    if ((void *)((uintptr_t)first & ~PI_BIT) != (void *)&h->list)
        *prev_of(first) = &node->next;
    compiler_barrier();
    *(struct robust_list *volatile *)&h->list.next = (struct robust_list *)&node->next;
    compiler_barrier();
}

void cmp_robust_unlink(struct cmp_node *node)
{
    struct robust_list_head *h = list();
    if (h == NULL)
        return;
    void *next = node->next; /* with its bit */
    void *volatile *prev = (void *volatile *)((uintptr_t)node->prev & ~PI_BIT);
    *prev = next;
    compiler_barrier();
    if ((void *)((uintptr_t)next & ~PI_BIT) != (void *)&h->list)
        *prev_of(next) = (void *)prev;
    compiler_barrier();
}

/* ---- the end of a thread ------------------------------------------------------- */

typedef void exit_fn(void);

static cmp_word key_plus_one; /* 0: not made yet */

static void call(void *fn)
{
    ((exit_fn *)fn)();
}

/* Not by pthread_once: a child forked while another thread was in it could hang. */
static int exit_key(pthread_key_t *key)
{
    uint32_t seen = load_seqcst(&key_plus_one);
    if (seen == 0) {
        int rc = pthread_key_create(key, call);
        if (rc != 0)
            return -rc;
        /* SYNC seq_cst: two threads may make one each; the first one's counts. */
        if (cas_strong(&key_plus_one, &seen, (uint32_t)*key + 1))
            return 0;
        pthread_key_delete(*key);
    }
    *key = (pthread_key_t)(seen - 1);
    return 0;
}

int cmp_at_thread_exit(void (*fn)(void))
{
    pthread_key_t key;
    int rc = exit_key(&key);
    return rc < 0 ? rc : -pthread_setspecific(key, (void *)fn);
}
