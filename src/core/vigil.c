#include "vigil.h"
#include "owner.h"

#define CUT_MIN_NS INT64_C(100000000)
#define CUT_MAX_NS INT64_C(1000000000)
#define TURNS 128u

void cmp_vigil_init(struct cmp_vigil *v, uint32_t me, uint32_t node)
{
    v->me = me;
    v->node = node % CMP_HOLD_WORDS;
    v->cut_ns = CUT_MIN_NS;
    v->was_cut = false;
    v->turn = me; /* not the same one in all processes */
    v->nap = (struct cmp_nap)CMP_NAP_INIT;
    cmp_vigil_begin(v);
}

void cmp_vigil_begin(struct cmp_vigil *v)
{
    v->doubt = v->nap.slice_over;
    v->cut = false;
    v->n_words = 0;
    v->n_seen = 0;
}

static void add_word(struct cmp_vigil *v, cmp_word *word, uint32_t expected, bool is_hold)
{
    if (v->n_words == CMP_PARK_MAX) {
        v->cut = true;
        return;
    }
    v->is_hold[v->n_words] = is_hold;
    v->words[v->n_words++] = (struct cmp_watch){word, expected};
}

void cmp_vigil_guard(struct cmp_vigil *v, cmp_word *word, uint32_t expected)
{
    add_word(v, word, expected, false);
}

/* What its words say is proof here: its threads are gone, or will be before they have
   run another instruction of the operation in which they were; whatever they still
   store is a CAS on a word that names them.  */
static bool ended(uint32_t code, uint32_t node, bool doubt, uint32_t *word, bool *has_word)
{
    enum cmp_hint hint = cmp_owner_hint(code, node, word);
    *has_word = hint == CMP_HINT_ALIVE;
    if (hint == CMP_HINT_DEAD || hint == CMP_HINT_GONE)
        return true;
    return (!*has_word || doubt) && cmp_owner_has_ended(code);
}

bool cmp_peer_ended(uint32_t code, uint32_t node)
{
    uint32_t word;
    bool has_word;
    return code != load_relaxed(&cmp_me_code) &&
           ended(code, node % CMP_HOLD_WORDS, false, &word, &has_word);
}

static bool is_seen(const struct cmp_vigil *v, uint32_t code)
{
    for (int i = v->n_seen; i-- > 0;) /* the last one is the most likely */
        if (v->seen[i] == code)
            return true;
    return false;
}

/* Whether the kernel is asked about a process whose words say that it lives.  The same
   answer for all looks between two naps. */
static bool is_doubtful(const struct cmp_vigil *v, uint32_t code)
{
    return v->doubt && (!v->was_cut || code % TURNS == v->turn % TURNS);
}

bool cmp_vigil_ended(struct cmp_vigil *v, uint32_t code)
{
    uint32_t word;
    bool has_word;

    if (code == v->me || is_seen(v, code))
        return false;
    if (ended(code, v->node, is_doubtful(v, code), &word, &has_word))
        return true;
    if (has_word)
        add_word(v, cmp_owner_hold(code, v->node), word, true);
    else
        v->cut = true;
    if (v->n_seen < CMP_PARK_MAX)
        v->seen[v->n_seen++] = code;
    return false;
}

/* Not only the word that ended the nap: two processes may have died at once.  */
static void relay_changed(struct cmp_vigil *v)
{
    for (int i = 0; i < v->n_words; i++)
        if (v->is_hold[i] && load_seqcst(v->words[i].word) != v->words[i].expected)
            cmp_unpark(v->words[i].word, CMP_UNPARK_ALL);
}

int cmp_vigil_nap(struct cmp_vigil *v, int64_t deadline_ns)
{
    int64_t limit_ns = v->cut ? v->cut_ns : INT64_MAX;
    int rc = cmp_nap_at_most(&v->nap, v->words, v->n_words, deadline_ns, limit_ns);
    relay_changed(v);
    CMP_HOOK("vigil.nap.relayed");
    v->was_cut = v->cut;
    v->turn++;
    if (v->cut && v->nap.slice_over)
        v->cut_ns = 2 * v->cut_ns < CUT_MAX_NS ? 2 * v->cut_ns : CUT_MAX_NS;
    return rc;
}
