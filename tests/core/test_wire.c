/* Description: the grammar of messages: numbers of every width, every kind, and what is cut,
   forged, too deep or left over is refused; shared values are found by their places. */
#include "../../src/core/wire.h"
#include "check.h"

static unsigned char head[64];
static struct cmp_reader r;
static struct cmp_token t;

static int next_of(size_t n, const struct cmp_span *buffers, size_t n_buffers)
{
    memset(&t, 0xee, sizeof t);
    cmp_wire_open(&r, head, n, buffers, n_buffers);
    return cmp_wire_next(&r, &t);
}

/* Its last byte lies at the end of what may be read, for the sanitizers. */
static int next_in_exactly(size_t n)
{
    unsigned char *copy = malloc(n == 0 ? 1 : n);
    memcpy(copy, head, n);
    cmp_wire_open(&r, copy, n, NULL, 0);
    int rc = cmp_wire_next(&r, &t);
    free(copy);
    return rc;
}

static void test_ints(void)
{
    static const int64_t all[] = {0, 1, -1, 127, 128, -128, -129, 32767, 32768, -32768, -32769,
                                  INT32_MAX, INT32_MIN, INT32_MAX + INT64_C(1),
                                  INT32_MIN - INT64_C(1), INT64_MAX, INT64_MIN};
    static const size_t lengths[] = {2, 2, 2, 2, 3, 2, 3, 3, 5, 3, 5, 5, 5, 9, 9, 9, 9};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        size_t n = cmp_wire_put_int(head, all[i]);
        CHECK_EQ(n, lengths[i]);
        CHECK_EQ(next_of(n, NULL, 0), 0);
        CHECK_EQ(t.kind, CMP_KIND_INT);
        CHECK_EQ(t.integer, all[i]);
        CHECK_EQ(cmp_wire_close(&r), 0);
        for (size_t cut = 0; cut < n; cut++)
            CHECK_EQ(next_in_exactly(cut), -EBADMSG);
    }
}

static void test_lengths(void)
{
    static const enum cmp_kind kinds[] = {CMP_KIND_BIGINT, CMP_KIND_STR, CMP_KIND_BYTES,
                                          CMP_KIND_BYTEARRAY};
    static const uint64_t false_ones[] = {11, 256, 65536, UINT64_C(1) << 32, UINT64_MAX};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        size_t n = cmp_wire_put(head, kinds[i], 10);
        CHECK_EQ(next_of(n + 10, NULL, 0), 0);
        CHECK(t.kind == kinds[i] && t.n == 10 && t.data == head + n && !t.shared && t.at == 0);
        CHECK_EQ(next_in_exactly(n + 9), -EBADMSG);
        for (size_t j = 0; j < sizeof false_ones / sizeof false_ones[0]; j++) {
            n = cmp_wire_put(head, kinds[i], false_ones[j]);
            CHECK_EQ(next_of(n + 10, NULL, 0), -EBADMSG);
        }
    }
}

static void test_counts(void)
{
    static const enum cmp_kind kinds[] = {CMP_KIND_TUPLE, CMP_KIND_LIST, CMP_KIND_SET,
                                          CMP_KIND_FROZENSET, CMP_KIND_DICT};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        size_t each = kinds[i] == CMP_KIND_DICT ? 2 : 1, n = cmp_wire_put(head, kinds[i], 5);
        CHECK_EQ(next_of(n + 5 * each, NULL, 0), 0);
        CHECK_EQ(t.n, 5);
        CHECK_EQ(next_of(n + 5 * each - 1, NULL, 0), -EBADMSG);
        n = cmp_wire_put(head, kinds[i], UINT64_MAX);
        CHECK_EQ(next_of(n + 20, NULL, 0), -EBADMSG);
    }
}

static void test_tags(void)
{
    for (unsigned tag = 0; tag < 256; tag++) {
        unsigned kind = tag & CMP_WIRE_KIND, width = tag >> CMP_WIRE_WIDTH & 3;
        struct cmp_span buffer = {head, 1};
        memset(head, 0, sizeof head);
        head[0] = (unsigned char)tag;
        int rc = next_of(sizeof head, &buffer, 1);
        bool good = kind < CMP_N_KINDS && kind != CMP_KIND_AGAIN &&
                    (width == 0 || cmp_kind_has_number(kind)) &&
                    (tag < CMP_WIRE_SHARED || cmp_kind_may_be_shared(kind));
        CHECK_EQ(rc, good ? 0 : -EBADMSG);
        CHECK(!good || (t.kind == kind && t.shared == (tag >= CMP_WIRE_SHARED)));
    }
}

static void test_buffers(void)
{
    struct cmp_span buffers[] = {{"first", 5}, {"the second", 10}};
    head[0] = CMP_KIND_STR_OUT;
    head[1] = CMP_KIND_BYTEARRAY_OUT | CMP_WIRE_SHARED;
    head[2] = CMP_KIND_BYTES_OUT;
    CHECK_EQ(next_of(3, buffers, 2), 0);
    CHECK(t.data == buffers[0].data && t.n == 5);
    CHECK_EQ(cmp_wire_close(&r), -EBADMSG);
    CHECK_EQ(cmp_wire_next(&r, &t), 0);
    CHECK(t.data == buffers[1].data && t.n == 10 && t.shared && t.at == 1);
    CHECK_EQ(cmp_wire_next(&r, &t), -EBADMSG); /* there are two */
    cmp_wire_open(&r, head, 1, buffers, 2);
    CHECK_EQ(cmp_wire_next(&r, &t), 0);
    CHECK_EQ(cmp_wire_close(&r), -EBADMSG); /* one is left over */
    size_t n = cmp_wire_put(head, CMP_KIND_PICKLE, 2);
    CHECK_EQ(next_of(n, buffers, 2), 0);
    CHECK_EQ(next_of(n, buffers, 1), -EBADMSG);
}

static void test_depth(void)
{
    cmp_wire_open(&r, head, 0, NULL, 0);
    for (int i = 0; i < CMP_WIRE_DEPTH; i++)
        CHECK_EQ(cmp_wire_enter(&r), 0);
    CHECK_EQ(cmp_wire_enter(&r), -EBADMSG);
    cmp_wire_leave(&r);
    cmp_wire_leave(&r);
    CHECK_EQ(cmp_wire_enter(&r), 0);
}

static void test_marks(void)
{
    struct cmp_marks m = {NULL, 0, 0};
    size_t index;
    CHECK(cmp_marks_find(&m, 0) == NULL);
    for (size_t i = 0; i < 1000; i++) {
        CHECK_EQ(cmp_marks_add(&m, 3 * i, &index), 0);
        CHECK_EQ(index, i);
        if (i % 10 != 0)
            cmp_marks_set(&m, index, head + i % 64);
    }
    for (size_t i = 0; i < 1000; i++) {
        CHECK(cmp_marks_find(&m, 3 * i) == (i % 10 == 0 ? NULL : head + i % 64));
        CHECK(cmp_marks_find(&m, 3 * i + 1) == NULL);
    }
    CHECK(cmp_marks_find(&m, SIZE_MAX) == NULL);
    cmp_marks_free(&m);
}

int main(void)
{
    start(60);
    test_ints();
    test_lengths();
    test_counts();
    test_tags();
    test_buffers();
    test_depth();
    test_marks();
    return done();
}
