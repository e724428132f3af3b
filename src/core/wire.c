/* wire.c -- the shared values of a message.  */
#include "wire.h"
#include <stdlib.h>

int cmp_marks_add(struct cmp_marks *m, size_t at, size_t *index)
{
    if (m->n == m->room) {
        size_t room = m->room == 0 ? 8 : 2 * m->room;
        struct cmp_mark *all = realloc(m->all, room * sizeof *all);
        if (all == NULL)
            return -ENOMEM;
        m->all = all;
        m->room = room;
    }
    m->all[m->n] = (struct cmp_mark){at, NULL};
    *index = m->n++;
    return 0;
}

void *cmp_marks_find(const struct cmp_marks *m, size_t at)
{
    size_t low = 0, high = m->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (m->all[middle].at < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low < m->n && m->all[low].at == at ? m->all[low].made : NULL;
}

void cmp_marks_free(struct cmp_marks *m)
{
    free(m->all);
    *m = (struct cmp_marks){NULL, 0, 0};
}
