/* way.c -- see way.h.  */
#include "way.h"
#include <string.h>
#include "../core/channel.h"

static _Thread_local struct pycmp_way *innermost;

/* ---- ways ------------------------------------------------------------------------------ */

void pycmp_way_enter(struct pycmp_way *way)
{
    way->outer = innermost;
    innermost = way;
}

void pycmp_way_leave(struct pycmp_way *way)
{
    struct pycmp_way **at = &innermost;
    while (*at != NULL && *at != way)
        at = &(*at)->outer;
    if (*at != NULL)
        *at = way->outer;
}

bool pycmp_way_is_innermost(const struct pycmp_way *way)
{
    return innermost == way;
}

int pycmp_reference_goes_along(cmp_ref ref)
{
    return innermost == NULL ? 0 : innermost->take(innermost, ref);
}

int pycmp_reference_leaves(cmp_ref ref)
{
    int rc = pycmp_reference_goes_along(ref);
    if (rc != 0)
        return rc < 0 ? -1 : 0;
    rc = cmp_object_pin(ref);
    if (rc < 0)
        pycmp_raise(rc);
    return rc;
}

/* ---- cargoes ------------------------------------------------------------------------ */

static int load(struct pycmp_way *way, cmp_ref ref)
{
    struct pycmp_cargo *cargo = (struct pycmp_cargo *)way;

    for (int i = 0; i < cargo->n; i++)
        if (cargo->refs[i] == ref)
            return 1;
    if (cargo->n == PYCMP_CARGO_MAX)
        return 0;
    int rc = cmp_object_hold(ref);
    if (rc < 0) {
        pycmp_raise(rc);
        return -1;
    }
    cargo->refs[cargo->n++] = ref;
    return 1;
}

struct pycmp_cargo *pycmp_cargo_open(void)
{
    struct pycmp_cargo *cargo = PyMem_RawMalloc(sizeof *cargo);
    if (cargo == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    cargo->way.take = load;
    cargo->n = 0;
    pycmp_way_enter(&cargo->way);
    return cargo;
}

void pycmp_cargo_close(struct pycmp_cargo *cargo)
{
    pycmp_way_leave(&cargo->way);
}

void pycmp_cargo_free(struct pycmp_cargo *cargo)
{
    if (cargo != NULL && cargo->n > 0) {
        Py_BEGIN_ALLOW_THREADS
        cmp_channel_drop(cargo->refs, cargo->n);
        Py_END_ALLOW_THREADS
    }
    PyMem_RawFree(cargo);
}

/* ---- arrivals -------------------------------------------------------------------------- */

struct pycmp_arrival {
    struct pycmp_arrival *outer;
    uint32_t named; /* a bit for each */
    int n;
    cmp_ref refs[CMP_RECORD_REFS];
};

static _Thread_local struct pycmp_arrival *reading;

struct pycmp_arrival *pycmp_arrival_begin(const cmp_ref *refs, int n)
{
    struct pycmp_arrival *arrival = PyMem_RawMalloc(sizeof *arrival);
    if (arrival == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    arrival->named = 0;
    arrival->n = n;
    memcpy(arrival->refs, refs, (size_t)n * sizeof *refs);
    arrival->outer = reading;
    reading = arrival;
    return arrival;
}

/* Of the innermost message or of one in the reading of which that is read: it may be either's.  */
void pycmp_reference_arrived(cmp_ref ref)
{
    for (struct pycmp_arrival *a = reading; a != NULL; a = a->outer)
        for (int i = 0; i < a->n; i++)
            if (a->refs[i] == ref)
                a->named |= UINT32_C(1) << i;
}

int pycmp_arrival_end(struct pycmp_arrival *arrival, cmp_ref *refs)
{
    struct pycmp_arrival **at = &reading;
    int front = 0, back = arrival->n;

    while (*at != NULL && *at != arrival)
        at = &(*at)->outer;
    if (*at != NULL)
        *at = arrival->outer;
    for (int i = 0; i < arrival->n; i++)
        refs[arrival->named >> i & 1 ? front++ : --back] = arrival->refs[i];
    PyMem_RawFree(arrival);
    return front;
}
