/* SPDX-License-Identifier: Apache-2.0 */
/* tachyon_frame.h: what is a frame, and what is said of a message that is none. */
#include "peers.h"

#include "tachyon_frame.h"

#include <string.h>

static tachyon_frame_t image(uint64_t *size) {
    static const int64_t shape[] = {4, 5, 3};
    tachyon_frame_t frame;
    CHECK_EQ(tachyon_frame_fill(&frame, TACHYON_FRAME_UINT, 8, 3, shape, 0, 7, size),
             TACHYON_FRAME_OK);
    return frame;
}

/* Byte by byte, since others write it too. */
TEST(a_header_is_64_bytes_as_documented) {
    static const uint8_t expected[64] = {'T', 'A', 'C', 'F', 1, 2, 5, 64, 1, 0, 1,
                                         0,   4,   3,   2,   1, 3, 0, 0,  0, 0, 0,
                                         0,   0,   0,   2,   0, 0, 0, 0,  0, 0};
    static const int64_t shape[] = {3, 512};
    tachyon_frame_t frame;
    uint64_t size;
    CHECK_EQ(tachyon_frame_fill(&frame, TACHYON_FRAME_COMPLEX, 64, 2, shape,
                                TACHYON_FRAME_COLUMN_MAJOR, 0x01020304, &size),
             TACHYON_FRAME_OK);
    CHECK_EQ(size, 64 + 3 * 512 * 8);
    CHECK_EQ(memcmp(&frame, expected, 64), 0);
    CHECK_EQ(tachyon_frame_check(&frame, size), TACHYON_FRAME_OK);
}

TEST(every_kind_and_number_of_dimensions_is_a_frame) {
    static const unsigned codes[] = {0, 1, 2, 4, 5, 6};
    static const int64_t shape[] = {1, 2, 3, 4, 5, 6};
    for (size_t code = 0; code < 6; code++)
        for (unsigned bits = 8; bits <= 128; bits += 8)
            for (unsigned ndim = 0; ndim <= 6; ndim++) {
                tachyon_frame_t frame;
                uint64_t size, items = 1, bytes;
                for (unsigned i = 0; i < ndim; i++)
                    items *= (uint64_t)shape[i];
                CHECK_EQ(tachyon_frame_fill(&frame, codes[code], bits, ndim,
                                            ndim ? shape : NULL, 0, 0, &size),
                         TACHYON_FRAME_OK);
                CHECK_EQ(size, 64 + items * bits / 8);
                CHECK_EQ(tachyon_frame_check(&frame, size), TACHYON_FRAME_OK);
                CHECK_EQ(tachyon_frame_check(&frame, size + 1),
                         TACHYON_FRAME_WRONG_SIZE);
                CHECK_EQ(tachyon_frame_measure(&frame, &bytes), TACHYON_FRAME_OK);
                CHECK_EQ(bytes, size - 64);
            }
}

/* ---- What is no frame ---- */

static void check_none(const tachyon_frame_t *frame, uint64_t size,
                       tachyon_frame_error_t error, const char *text) {
    char told[128];
    CHECK_EQ(tachyon_frame_check(frame, size), error);
    tachyon_frame_explain(error, frame, size, told, sizeof told);
    if (strcmp(told, text) != 0)
        FAIL("\"%s\", expected \"%s\"", told, text);
}

TEST(each_mistake_is_told_by_itself) {
    uint64_t size;
    tachyon_frame_t good = image(&size), bad;
    check_none(&good, 0, TACHYON_FRAME_SHORT,
               "not a frame: 0 bytes, fewer than the 64 of a header");
    check_none(&good, 63, TACHYON_FRAME_SHORT,
               "not a frame: 63 bytes, fewer than the 64 of a header");
    check_none(&good, 64, TACHYON_FRAME_WRONG_SIZE,
               "a frame whose shape makes 60 bytes of items, in a message with 0");
    check_none(&good, 125, TACHYON_FRAME_WRONG_SIZE,
               "a frame whose shape makes 60 bytes of items, in a message with 61");
#define BAD(field, value, error, text)                                                 \
    bad = good, bad.field = value, check_none(&bad, size, error, text)
    BAD(magic, 0x46434155, TACHYON_FRAME_FOREIGN,
        "not a frame: it begins with 0x46434155 instead of 0x46434154");
    BAD(version, 0, TACHYON_FRAME_BAD_VERSION, "a frame of format 0; this end knows 1");
    BAD(version, 2, TACHYON_FRAME_BAD_VERSION, "a frame of format 2; this end knows 1");
    BAD(ndim, 7, TACHYON_FRAME_BAD_NDIM, "a frame of 7 dimensions; there can be 6");
    BAD(ndim, 255, TACHYON_FRAME_BAD_NDIM, "a frame of 255 dimensions; there can be 6");
    BAD(code, 3, TACHYON_FRAME_BAD_CODE,
        "a frame of items of code 3; 0 to 2 and 4 to 6 are int, uint, float, bfloat, "
        "complex and bool");
    BAD(code, 7, TACHYON_FRAME_BAD_CODE,
        "a frame of items of code 7; 0 to 2 and 4 to 6 are int, uint, float, bfloat, "
        "complex and bool");
    BAD(bits, 0, TACHYON_FRAME_BAD_BITS,
        "a frame of items of 0 bits; they have 8 to 128, a multiple of 8");
    BAD(bits, 12, TACHYON_FRAME_BAD_BITS,
        "a frame of items of 12 bits; they have 8 to 128, a multiple of 8");
    BAD(bits, 136, TACHYON_FRAME_BAD_BITS,
        "a frame of items of 136 bits; they have 8 to 128, a multiple of 8");
    BAD(lanes, 0, TACHYON_FRAME_BAD_LANES, "a frame of items of 0 lanes; they have 1");
    BAD(lanes, 4, TACHYON_FRAME_BAD_LANES, "a frame of items of 4 lanes; they have 1");
    BAD(flags, 2, TACHYON_FRAME_BAD_FLAGS,
        "a frame with the flags 0x0002, of which only 0x0001 is known");
    BAD(flags, 0x8001, TACHYON_FRAME_BAD_FLAGS,
        "a frame with the flags 0x8001, of which only 0x0001 is known");
    BAD(shape[1], -5, TACHYON_FRAME_BAD_SHAPE, "a frame of -5 items along dimension 1");
    BAD(shape[3], 1, TACHYON_FRAME_BAD_REST,
        "a frame of 3 dimensions with 1 items along dimension 3");
    BAD(shape[5], -1, TACHYON_FRAME_BAD_REST,
        "a frame of 3 dimensions with -1 items along dimension 5");
    BAD(shape[0], INT64_MAX, TACHYON_FRAME_TOO_LARGE, "a frame of 2^63 bytes or more");
    BAD(shape[0], 5, TACHYON_FRAME_WRONG_SIZE,
        "a frame whose shape makes 75 bytes of items, in a message with 60");
    BAD(bits, 16, TACHYON_FRAME_WRONG_SIZE,
        "a frame whose shape makes 120 bytes of items, in a message with 60");
    BAD(ndim, 2, TACHYON_FRAME_BAD_REST,
        "a frame of 2 dimensions with 3 items along dimension 2");
    BAD(ndim, 4, TACHYON_FRAME_WRONG_SIZE,
        "a frame whose shape makes 0 bytes of items, in a message with 60");
}

/* Products that come out small once they have gone round 2^64, and those next to the
 * largest. */
TEST(shapes_that_overflow_are_too_large) {
    static const struct {
        unsigned bits, ndim;
        int64_t shape[6];
        tachyon_frame_error_t error;
    } cases[] = {
        {8, 1, {INT64_MAX}, TACHYON_FRAME_OK},
        {16, 1, {INT64_MAX / 2}, TACHYON_FRAME_OK},
        {16, 1, {INT64_MAX / 2 + 1}, TACHYON_FRAME_TOO_LARGE},
        {128, 1, {INT64_MAX / 16}, TACHYON_FRAME_OK},
        {128, 1, {INT64_MAX / 16 + 1}, TACHYON_FRAME_TOO_LARGE},
        {8, 2, {INT64_MAX, 2}, TACHYON_FRAME_TOO_LARGE},
        {8, 2, {INT64_C(1) << 32, INT64_C(1) << 31}, TACHYON_FRAME_TOO_LARGE},
        {8, 2, {INT64_C(1) << 31, (INT64_C(1) << 32) - 1}, TACHYON_FRAME_OK},
        {8, 2, {INT64_C(1) << 32, INT64_C(1) << 32}, TACHYON_FRAME_TOO_LARGE},
        {64, 3, {INT64_C(1) << 61, 1, 1}, TACHYON_FRAME_TOO_LARGE}, /* 2^64: 0 */
        {24, 2, {INT64_C(0x5555555555555556), 1}, TACHYON_FRAME_TOO_LARGE}, /* 2 */
        {8, 6, {65536, 65536, 65536, 65536, 1, 1}, TACHYON_FRAME_TOO_LARGE},
        /* Nothing is there, and yet the strides would overflow. */
        {8, 3, {INT64_C(1) << 40, INT64_C(1) << 40, 0}, TACHYON_FRAME_TOO_LARGE},
        {8, 3, {0, INT64_C(1) << 40, INT64_C(1) << 40}, TACHYON_FRAME_TOO_LARGE},
        {8, 3, {INT64_C(1) << 40, 0, 8}, TACHYON_FRAME_OK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tachyon_frame_t frame;
        uint64_t size = 99;
        if (tachyon_frame_fill(&frame, TACHYON_FRAME_UINT, cases[i].bits, cases[i].ndim,
                               cases[i].shape, 0, 0, &size) != cases[i].error)
            FAIL("case %zu", i);
        if (cases[i].error != TACHYON_FRAME_OK)
            CHECK_EQ(size, 0);
        for (uint64_t bytes = 64; bytes < 200; bytes++)
            CHECK_EQ(tachyon_frame_check(&frame, bytes),
                     cases[i].error  ? cases[i].error
                     : bytes == size ? TACHYON_FRAME_OK
                                     : TACHYON_FRAME_WRONG_SIZE);
    }
}

TEST(what_cannot_be_a_frame_is_not_filled_in) {
    static const int64_t shape[] = {1, 1, 1, 1, 1, 1, 1}, negative[] = {1, -1};
    static const struct {
        unsigned code, bits, ndim;
        const int64_t *shape;
        unsigned flags;
        tachyon_frame_error_t error;
        const char *text;
    } cases[] = {
        {1, 8, 7, shape, 0, TACHYON_FRAME_BAD_NDIM, "7 dimensions"},
        {1, 8, 256, shape, 0, TACHYON_FRAME_BAD_NDIM, "255 dimensions"},
        {3, 8, 1, shape, 0, TACHYON_FRAME_BAD_CODE, "code 3"},
        {258, 8, 1, shape, 0, TACHYON_FRAME_BAD_CODE, "code 255"},
        {1, 1, 1, shape, 0, TACHYON_FRAME_BAD_BITS, "1 bits"},
        {1, 264, 1, shape, 0, TACHYON_FRAME_BAD_BITS, "255 bits"},
        {1, 8, 1, shape, 65536, TACHYON_FRAME_BAD_FLAGS, "flags 0xffff"},
        {1, 8, 2, negative, 0, TACHYON_FRAME_BAD_SHAPE, "-1 items along dimension 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tachyon_frame_t frame;
        uint64_t size;
        char text[128];
        CHECK_EQ(tachyon_frame_fill(&frame, cases[i].code, cases[i].bits, cases[i].ndim,
                                    cases[i].shape, cases[i].flags, 0, &size),
                 cases[i].error);
        tachyon_frame_explain(cases[i].error, &frame, 0, text, sizeof text);
        if (!strstr(text, cases[i].text))
            FAIL("\"%s\" does not say \"%s\"", text, cases[i].text);
    }
}

/* The largest values there are, into as little room as one likes. */
TEST(an_explanation_fits_its_room) {
    for (int error = 0; error <= TACHYON_FRAME_WRONG_SIZE + 1; error++)
        for (unsigned bytes = 0; bytes < 256; bytes += 255) {
            tachyon_frame_t frame;
            char text[160];
            memset(&frame, (int)bytes, sizeof frame);
            memset(text, 'x', sizeof text);
            tachyon_frame_explain((tachyon_frame_error_t)error, &frame, UINT64_MAX,
                                  text, sizeof text);
            CHECK_IN(strlen(text), 5, 127);
            memset(text, 'x', sizeof text);
            tachyon_frame_explain((tachyon_frame_error_t)error, &frame, UINT64_MAX,
                                  text, 10);
            CHECK(strlen(text) < 10 && text[10] == 'x');
        }
}

/* ---- In the ring ---- */

static struct {
    tachyon_frame_t frame;
    uint8_t items[60];
} message;
static _Atomic bool over;

/* The header is one of two, of which the other is of another size. */
static void *rewrite(void *context) {
    (void)context;
    while (!atomic_load(&over)) {
        message.frame.shape[0] = INT64_C(1) << 40;
        message.frame.ndim = 2;
        atomic_signal_fence(memory_order_seq_cst);
        message.frame.shape[0] = 4;
        message.frame.ndim = 3;
        atomic_signal_fence(memory_order_seq_cst);
    }
    return NULL;
}

TEST(a_header_that_changes_while_it_is_read_is_good_as_it_was_copied) {
    if (test_race_detector())
        test_skip("a race is what this is about");
    uint64_t size;
    message.frame = image(&size);
    CHECK_EQ(size, sizeof message.frame + sizeof message.items);
    pthread_t thread = test_thread(rewrite, NULL);
    unsigned good = 0, bad = 0;
    int64_t end = test_now_ms() + 10000; /* the other thread may have to wait */
    while ((good < 1000 || bad < 1000) && test_now_ms() < end) {
        tachyon_frame_t frame;
        if (tachyon_frame_read(&message, size, &frame) == TACHYON_FRAME_OK) {
            CHECK(frame.ndim == 3 && frame.shape[0] == 4);
            good++;
        } else {
            CHECK(frame.ndim == 2 || frame.shape[0] != 4);
            bad++;
        }
    }
    atomic_store(&over, true);
    test_join(thread);
    CHECK(good > 0 && bad > 0);
}

TEST(a_message_that_is_too_short_is_not_looked_at) {
    tachyon_frame_t frame;
    for (uint64_t size = 0; size < 64; size++) {
        memset(&frame, 0xFF, sizeof frame);
        CHECK_EQ(tachyon_frame_read(NULL, size, &frame), TACHYON_FRAME_SHORT);
        CHECK(frame.magic == 0 && frame.shape[5] == 0);
    }
}

TEST(a_frame_is_written_and_read_in_place) {
    struct pair pair = pair_open(1 << 16);
    for (unsigned round = 0; round < 100; round++) {
        static const int64_t shape[] = {30, 20};
        tachyon_frame_t frame, copy;
        uint64_t bytes;
        uint32_t type;
        size_t size;
        CHECK_EQ(tachyon_frame_fill(&frame, TACHYON_FRAME_FLOAT, 32, 2, shape, 0, round,
                                    &bytes),
                 TACHYON_FRAME_OK);
        char *slot = tachyon_acquire_tx(pair.connector, bytes);
        CHECK(slot);
        memcpy(slot, &frame, sizeof frame);
        float *items = (float *)(void *)(slot + sizeof frame);
        CHECK_EQ((uintptr_t)items % 64, 0);
        for (unsigned i = 0; i < 600; i++)
            items[i] = (float)(i * round);
        CHECK_OK(tachyon_commit_tx(pair.connector, bytes, 5));
        tachyon_flush(pair.connector);

        const char *sent = tachyon_acquire_rx(pair.listener, &type, &size);
        CHECK(sent && size == bytes && type == 5);
        CHECK_EQ(tachyon_frame_read(sent, size, &copy), TACHYON_FRAME_OK);
        CHECK_EQ(copy.tag, round);
        const float *received = (const float *)(const void *)(sent + sizeof copy);
        CHECK_EQ((uintptr_t)received % 64, 0);
        CHECK(received[599] == (float)(599 * round));
        CHECK_OK(tachyon_commit_rx(pair.listener));
    }
    pair_close(&pair);
}
