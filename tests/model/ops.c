/* ops.c -- what the compiled sources call: ThreadSanitizer's hooks, and the parts of
   libc that have a state.  Also the switch of stacks.

   -fsanitize=thread turns each atomic operation into a call of __tsan_atomic*, and
   tells of each plain access just before it.  In shared memory each is a point.

   A state is hashed with the stacks in it, so these must not keep what is dead.
   Functions are compiled without optimisation, with their locals cleared, and with
   -finstrument-functions: at its end a function returns by way of clean_return,
   which clears where its frame was.  */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

/* ---- stacks ------------------------------------------------------------------- */

void *model_return_to; /* of the function that is just ending */

__asm__(
    ".text\n"
    ".globl switch_stack\n"
    "switch_stack:\n"
    "  push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15\n"
    "  mov %rsp, (%rdi)\n"
    "  mov %rsi, %rsp\n"
    "  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp\n"
    "  ret\n"
    ".globl __cyg_profile_func_enter\n"
    "__cyg_profile_func_enter:\n"
    "  ret\n"
    /* Called by a function that has a frame pointer, as its last but one deed. */
    ".globl __cyg_profile_func_exit\n"
    "__cyg_profile_func_exit:\n"
    "  mov 8(%rbp), %rax\n"
    "  mov %rax, model_return_to(%rip)\n"
    "  lea clean_return(%rip), %rax\n"
    "  mov %rax, 8(%rbp)\n"
    "  lea -256(%rsp), %rax\n" /* what hooks and libc may have used below */
    "  and $-16, %rax\n"
    "  mov %rax, model_low(%rip)\n"
    "  ret\n"
    "clean_return:\n"
    "  mov model_low(%rip), %rdi\n"
    "  pxor %xmm0, %xmm0\n" /* no function here returns a floating-point number */
    "  lea -16(%rsp), %rcx\n"
    "1: movups %xmm0, (%rdi)\n"
    "  add $16, %rdi\n"
    "  cmp %rcx, %rdi\n"
    "  jb 1b\n"
    "  movups %xmm0, -16(%rsp)\n"
    "  jmp *model_return_to(%rip)\n"
    ".lcomm model_low, 8\n");

char *fresh_stack(char *top, void (*entry)(void))
{
    void **sp = (void **)top;
    *--sp = NULL; /* alignment, and the end of the frames */
    *--sp = (void *)entry;
    for (int i = 0; i < 6; i++)
        *--sp = NULL;
    return (char *)sp;
}

/* ---- atomic operations --------------------------------------------------------- */

static bool is_shared(const volatile void *p)
{
    return (uintptr_t)p - (uintptr_t)SHARED_BASE < SHARED_BYTES;
}

/* Before an access; whether it is to shared memory. */
static void reach(enum op op, const volatile void *p, size_t bytes)
{
    if (is_shared(p))
        point(op, (void *)p, bytes, 0);
    if (op == OP_WRITE)
        note_write((void *)p, bytes);
}

#define HERE __builtin_return_address(0), __builtin_return_address(1)
void trace_access(const char *what, const volatile void *p, uint64_t before, uint64_t after,
                  int bytes, void *where, void *caller);
#define TRACE(what, p, before, after) \
    (tracing && is_shared(p) \
         ? trace_access(what, p, before, after, sizeof *(p), HERE) \
         : (void)0)

#define ATOMICS(bits, type) \
    type __tsan_atomic##bits##_load(const volatile type *p, int order) \
    { \
        (void)order; \
        reach(OP_READ, p, sizeof *p); \
        TRACE("load", p, *p, *p); \
        return *p; \
    } \
    void __tsan_atomic##bits##_store(volatile type *p, type v, int order) \
    { \
        (void)order; \
        reach(OP_WRITE, p, sizeof *p); \
        TRACE("store", p, *p, v); \
        *p = v; \
    } \
    int __tsan_atomic##bits##_compare_exchange_strong(volatile type *p, type *seen, type v, \
                                                      int order, int fail_order) \
    { \
        (void)order, (void)fail_order; \
        reach(OP_WRITE, p, sizeof *p); \
        if (*p != *seen) { \
            TRACE("cas fails", p, *p, *p); \
            *seen = *p; \
            return 0; \
        } \
        TRACE("cas", p, *p, v); \
        *p = v; \
        return 1; \
    } \
    int __tsan_atomic##bits##_compare_exchange_weak(volatile type *p, type *seen, type v, \
                                                    int order, int fail_order) \
    { \
        (void)order, (void)fail_order; \
        reach(OP_WRITE, p, sizeof *p); \
        if (*p != *seen) { \
            TRACE("cas fails", p, *p, *p); \
            *seen = *p; \
            return 0; \
        } \
        TRACE("cas", p, *p, v); \
        *p = v; \
        return 1; \
    } \
    MODIFY(bits, type, exchange, v) \
    MODIFY(bits, type, fetch_add, was + v) \
    MODIFY(bits, type, fetch_sub, was - v) \
    MODIFY(bits, type, fetch_or, was | v) \
    MODIFY(bits, type, fetch_and, was & v) \
    MODIFY(bits, type, fetch_xor, was ^ v)

#define MODIFY(bits, type, verb, result) \
    type __tsan_atomic##bits##_##verb(volatile type *p, type v, int order) \
    { \
        (void)order; \
        reach(OP_WRITE, p, sizeof *p); \
        type was = *p; \
        TRACE(#verb, p, was, (type)(result)); \
        *p = (result); \
        return was; \
    }

ATOMICS(8, uint8_t)
ATOMICS(16, uint16_t)
ATOMICS(32, uint32_t)
ATOMICS(64, uint64_t)

void __tsan_atomic_thread_fence(int order)
{
    (void)order;
}

void __tsan_atomic_signal_fence(int order)
{
    (void)order;
}

/* ---- plain accesses ------------------------------------------------------------ */

static void plain_read(void *p, size_t bytes, void *where)
{
    if (!is_shared(p))
        return;
    point(OP_READ, p, bytes, 0);
    if (tracing)
        trace_access("plain read", p, 0, 0, -(int)bytes, where, NULL);
}

static void plain_write(void *p, size_t bytes, void *where)
{
    reach(OP_WRITE, p, bytes);
    if (tracing && is_shared(p))
        trace_access("plain write", p, 0, 0, -(int)bytes, where, NULL);
}

#define PLAIN(bytes) \
    void __tsan_read##bytes(void *p) \
    { \
        plain_read(p, bytes, __builtin_return_address(0)); \
    } \
    void __tsan_write##bytes(void *p) \
    { \
        plain_write(p, bytes, __builtin_return_address(0)); \
    } \
    void __tsan_unaligned_read##bytes(void *p) \
    { \
        plain_read(p, bytes, __builtin_return_address(0)); \
    } \
    void __tsan_unaligned_write##bytes(void *p) \
    { \
        plain_write(p, bytes, __builtin_return_address(0)); \
    }

PLAIN(1)
PLAIN(2)
PLAIN(4)
PLAIN(8)
PLAIN(16)

void __tsan_read_range(void *p, size_t bytes)
{
    plain_read(p, bytes, __builtin_return_address(0));
}

void __tsan_write_range(void *p, size_t bytes)
{
    plain_write(p, bytes, __builtin_return_address(0));
}

void __tsan_init(void)
{
}

void __tsan_func_entry(void *caller)
{
    (void)caller;
}

void __tsan_func_exit(void)
{
}

/* ---- libc, as far as it has a state: the build renames the calls ---------------- */

/* In pieces, as another process may see it. */
void *model_memcpy(void *to, const void *from, size_t bytes)
{
    for (size_t i = 0; i < bytes;) {
        size_t n = bytes - i < 8 ? bytes - i : 8;
        plain_read((char *)from + i, n, __builtin_return_address(0));
        uint64_t piece = 0;
        memcpy(&piece, (const char *)from + i, n);
        plain_write((char *)to + i, n, __builtin_return_address(0));
        memcpy((char *)to + i, &piece, n);
        i += n;
    }
    return to;
}

void *model_memset(void *to, int c, size_t bytes)
{
    if (!is_shared(to) || !exploring) {
        note_write(to, bytes);
        return memset(to, c, bytes);
    }
    for (size_t i = 0; i < bytes;) {
        size_t n = bytes - i < 8 ? bytes - i : 8;
        plain_write((char *)to + i, n, __builtin_return_address(0));
        memset((char *)to + i, c, n);
        i += n;
    }
    return to;
}

int model_memcmp(const void *a, const void *b, size_t bytes)
{
    plain_read((void *)a, bytes, __builtin_return_address(0));
    plain_read((void *)b, bytes, __builtin_return_address(0));
    return memcmp(a, b, bytes);
}

/* A heap of the process, in which the same calls give the same addresses: first
   fit, from a block size and a mark of use before each block; freed memory is
   cleared.  */
extern char model_heap[];

struct block {
    uint32_t bytes, used; /* bytes 0: the end */
    uint64_t reserved;
};

void *model_malloc(size_t bytes)
{
    bytes = (bytes + 15) & ~(size_t)15;
    if (bytes == 0)
        bytes = 16;
    struct block *b = (struct block *)model_heap;
    while (b->bytes != 0 && (b->used || b->bytes < bytes))
        b = (struct block *)((char *)(b + 1) + b->bytes);
    if ((char *)(b + 1) + bytes + sizeof *b > model_heap + HEAP_BYTES)
        abort();
    note_write(b, sizeof *b);
    if (b->bytes == 0)
        b->bytes = (uint32_t)bytes;
    b->used = 1;
    return b + 1;
}

void *model_calloc(size_t n, size_t bytes)
{
    return model_malloc(n * bytes); /* it is clear */
}

void model_free(void *p)
{
    if (p == NULL)
        return;
    struct block *b = (struct block *)p - 1;
    note_write(b, sizeof *b + b->bytes);
    b->used = 0;
    memset(p, 0, b->bytes);
    struct block *next = (struct block *)((char *)p + b->bytes);
    if (next->bytes == 0) /* it was the last: the end moves down */
        b->bytes = 0;
}

void *model_realloc(void *p, size_t bytes)
{
    void *to = model_malloc(bytes);
    if (p != NULL) {
        size_t old = ((struct block *)p - 1)->bytes;
        note_write(to, bytes);
        memcpy(to, p, old < bytes ? old : bytes);
        model_free(p);
    }
    return to;
}

/* One thread in a process: nobody else has its mutexes. */
int model_mutex_lock(void *mutex)
{
    (void)mutex;
    return 0;
}

int model_mutex_unlock(void *mutex)
{
    (void)mutex;
    return 0;
}

int model_atexit(void (*fn)(void))
{
    (void)fn; /* a process that ends in order calls cmp_owner_leave() itself */
    return 0;
}

int model_pthread_once(int *once, void (*fn)(void))
{
    if (*once == 0) {
        note_write(once, sizeof *once);
        *once = 1;
        fn();
    }
    return 0;
}

static void (*atfork[16][3])(void); /* of process 0, at setup; the same in all */
static int n_atfork;

int model_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    for (int i = 0; i < n_atfork; i++)
        if (atfork[i][0] == prepare && atfork[i][1] == parent && atfork[i][2] == child)
            return 0;
    if (n_atfork == 16)
        abort();
    atfork[n_atfork][0] = prepare;
    atfork[n_atfork][1] = parent;
    atfork[n_atfork][2] = child;
    n_atfork++;
    return 0;
}

void model_atfork_call(int which)
{
    for (int i = 0; i < n_atfork; i++) {
        void (*fn)(void) = atfork[which == 0 ? n_atfork - 1 - i : i][which];
        if (fn != NULL)
            fn();
    }
}
