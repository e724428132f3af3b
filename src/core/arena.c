/* arena.c -- the family's memory: made or joined once a process, then grown.  */
#include "arena.h"
#include <pthread.h>
#include <string.h>
#include "slab.h"

#define MAGIC UINT64_C(0x616e6572612e706d) /* changes only if the fields before id do */
#define FIRST_BYTES (4 * (size_t)CMP_EXTENT_BYTES) /* the extents with a place of their own */
#define STEP_SMALL ((size_t)1 << 20) /* the file grows by so much ... */
#define STEP_LARGE ((size_t)16 << 20)
#define LARGE ((size_t)64 << 20)     /* ... and by more from here on */

char *cmp_arena_base;
cmp_word cmp_arena_n = CMP_EXTENT_FIRST;
struct cmp_map cmp_arena_map = {.fd = -1};

static unsigned char family_id[16];

/* Held while the arena is made, and across a fork. */
static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;
static cmp_word is_member; /* 1: this process has a place in its arena */

/* ---- the mapping ----------------------------------------------------------------- */

/* The mapping has become that long in this process. */
static void set_accessible(void)
{
    uint32_t n = (uint32_t)(load64_seqcst(&cmp_arena_map.accessible) >> CMP_EXTENT_BITS);
    uint32_t seen = load_relaxed(&cmp_arena_n);
    /* SYNC seq_cst: pairs with the loads in cmp_arena and cmp_extent_at, which then
       find base set and the memory accessible. */
    while (seen < n && !cas_seqcst(&cmp_arena_n, &seen, n))
        ;
}

/* The family's own word for how long the file is. */
static size_t said_bytes(void)
{
    struct cmp_arena *arena = (struct cmp_arena *)(void *)cmp_arena_base;
    uint32_t n = arena == NULL ? 0 : load_seqcst(&arena->n_covered);
    return (size_t)(n < CMP_EXTENTS_MAX ? n : 0) << CMP_EXTENT_BITS;
}

/* The file is as long as this process's mapping, which has grown. */
static void say_bytes(void)
{
    struct cmp_arena *arena = (struct cmp_arena *)(void *)cmp_arena_base;
    uint32_t n = (uint32_t)(load64_seqcst(&cmp_arena_map.accessible) >> CMP_EXTENT_BITS);
    uint32_t seen = load_relaxed(&arena->n_covered);
    while (seen < n && !cas_strong(&arena->n_covered, &seen, n))
        ;
}

int cmp_arena_reach(size_t bytes)
{
    int rc = cmp_map_reach(&cmp_arena_map, bytes, said_bytes());
    if (rc == 0)
        set_accessible();
    return rc;
}

/* Further than asked for, so that the next call is far off; where that is too
   far, as far as asked. */
int cmp_arena_grow(size_t bytes)
{
    size_t step = bytes < LARGE ? STEP_SMALL : STEP_LARGE;
    int rc = cmp_map_reach(&cmp_arena_map, bytes, said_bytes());
    if (rc == -ERANGE)
        rc = cmp_map_grow(&cmp_arena_map, (bytes + step - 1) / step * step);
    if (rc < 0)
        rc = cmp_map_grow(&cmp_arena_map, bytes);
    if (rc < 0)
        return rc;
    CMP_HOOK("arena.grow.longer");
    say_bytes();
    set_accessible();
    return 0;
}

/* ---- the family ---------------------------------------------------------------- */

/* Nobody else sees it before it is done. */
static int format(void)
{
    struct cmp_arena *arena = (struct cmp_arena *)(void *)cmp_arena_base;
    int rc = cmp_map_commit(&cmp_arena_map, 0, FIRST_BYTES);
    if (rc == 0)
        rc = cmp_random(arena->id, sizeof arena->id);
    if (rc < 0)
        return rc;
    arena->layout_version = CMP_LAYOUT_VERSION;
    arena->header_bytes = sizeof *arena;
    arena->extent_bytes = CMP_EXTENT_BYTES;
    arena->node_offset = offsetof(struct cmp_node, word);
    store_relaxed(&arena->slot_extent[0], CMP_EXTENT_SLOTS_AT);
    cmp_extent_format();
    /* SYNC release: pairs with check_header; the header is complete. */
    store64_release(&arena->magic, MAGIC);
    return 0;
}

/* Another process may damage it at any time: each field is read once. */
static int check_header(uint32_t *version)
{
    struct cmp_arena *arena = (struct cmp_arena *)(void *)cmp_arena_map.base;
    if (load64_relaxed(&cmp_arena_map.accessible) < FIRST_BYTES ||
        load64_seqcst(&arena->magic) != MAGIC) /* SYNC: pairs with format */
        return -EINVAL;
    uint32_t found = *(volatile uint32_t *)&arena->layout_version;
    if (version != NULL)
        *version = found;
    if (found != CMP_LAYOUT_VERSION || arena->header_bytes != sizeof *arena ||
        arena->extent_bytes != CMP_EXTENT_BYTES ||
        arena->node_offset != offsetof(struct cmp_node, word))
        return -EPROTO;
    return 0;
}

static void close_arena(void)
{
    store_seqcst(&cmp_arena_n, CMP_EXTENT_FIRST);
    cmp_slab_forget();
    cmp_map_detach(&cmp_arena_map);
    cmp_arena_base = NULL;
}

/* The rest, once the arena is mapped and sound. */
static int enter(void)
{
    memcpy(family_id, ((struct cmp_arena *)(void *)cmp_arena_base)->id, sizeof family_id);
    set_accessible();
    int rc = cmp_owner_register();
    if (rc == 0)
        store_seqcst(&is_member, 1); /* SYNC: after all of it; pairs with is_in */
    return rc;
}

static bool is_in(void)
{
    return load_acquire(&is_member) != 0; /* SYNC acquire: pairs with enter */
}

static int make(void)
{
    if (is_in())
        return 0;
    int rc = cmp_map_create(&cmp_arena_map, FIRST_BYTES);
    if (rc < 0)
        return rc;
    cmp_arena_base = cmp_arena_map.base;
    rc = format();
    if (rc == 0)
        rc = enter();
    if (rc < 0)
        close_arena();
    return rc;
}

int cmp_family_init(void)
{
    if (is_in())
        return 0;
    int rc = cmp_owner_atfork_install();
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&making);
    rc = make();
    pthread_mutex_unlock(&making);
    return rc;
}

static int join(int fd, uint32_t *version)
{
    int rc = cmp_map_attach(&cmp_arena_map, fd);
    if (rc < 0)
        return rc;
    rc = check_header(version);
    if (rc == 0) {
        cmp_arena_base = cmp_arena_map.base;
        rc = enter();
    }
    if (rc < 0) {
        if (cmp_arena_map.fd == fd)
            cmp_arena_map.fd = -1; /* the caller's again */
        close_arena();
    }
    return rc;
}

/* One that was made or joined before stays. */
static int join_or_compare(int fd, uint32_t *version)
{
    if (!is_in())
        return join(fd, version);
    if (version != NULL)
        *version = CMP_LAYOUT_VERSION;
    return cmp_map_same_file(&cmp_arena_map, fd) ? 0 : -EEXIST;
}

int cmp_family_join(int fd, uint32_t *version)
{
    int rc = cmp_owner_atfork_install();
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&making);
    rc = join_or_compare(fd, version);
    pthread_mutex_unlock(&making);
    return rc;
}

int cmp_family_fd(void)
{
    int fd = is_in() ? cmp_map_fd(&cmp_arena_map) : -1;
    return fd < 0 ? -1 : fd;
}

const unsigned char *cmp_family_id(void)
{
    return is_in() ? family_id : NULL;
}

const struct cmp_map *cmp_family_map(void)
{
    return &cmp_arena_map;
}

int cmp_family_before_fork(void)
{
    int rc = cmp_family_init();
    pthread_mutex_lock(&making);
    return rc;
}

void cmp_family_after_fork(void)
{
    pthread_mutex_unlock(&making);
}
