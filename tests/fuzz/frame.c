/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Headers of frames that any peer may have written, nearly right most of the time, over
 * messages of any size. What is taken for a frame can be indexed to its last item.
 */
#include "fuzz.h"
#include "tachyon_frame.h"

__extension__ typedef unsigned __int128 wide;

/* The rules, restated with numbers that do not overflow: 63 bits by 63. */
static unguided bool is_good(const tachyon_frame_t *frame, wide *bytes) {
    static const char codes[] = {1, 1, 1, 0, 1, 1, 1};
    bool empty = false;
    wide all = frame->bits / 8;
    if (frame->magic != 0x46434154 || frame->version != 1 || frame->ndim > 6 ||
        frame->code > 6 || !codes[frame->code] || frame->bits < 8 ||
        frame->bits > 128 || (frame->bits & 7) || frame->lanes != 1 ||
        (frame->flags & 0xFFFE))
        return false;
    for (int i = 0; i < 6; i++) {
        if (i < frame->ndim ? frame->shape[i] < 0 : frame->shape[i] != 0)
            return false;
        if (i >= frame->ndim)
            continue;
        empty |= frame->shape[i] == 0;
        if (frame->shape[i] > 0)
            all *= (wide)frame->shape[i];
        if (all >> 63)
            return false;
    }
    *bytes = empty ? 0 : all;
    return true;
}

/* Is it a negative extent that is met first, or what overflows? */
static unguided bool is_negative(const tachyon_frame_t *frame) {
    wide all = frame->bits / 8;
    for (int i = 0; i < frame->ndim && !(all >> 63); i++) {
        if (frame->shape[i] < 0)
            return true;
        if (frame->shape[i] > 0)
            all *= (wide)frame->shape[i];
    }
    return false;
}

static int64_t make_extent(struct input *input) {
    switch (input_below(input, 8)) {
    case 0:
        return (int64_t)input_number(input, 8);
    case 1: /* so that few of them make a little more than 2^63 or 2^64 */
        return INT64_C(1) << input_below(input, 63);
    case 2:
        return (INT64_C(1) << 32) - 2 + (int64_t)input_below(input, 4);
    default:
        return (int64_t)input_below(input, 9);
    }
}

static void make_header(struct input *input, tachyon_frame_t *frame) {
    static const uint8_t bits[] = {8, 16, 32, 64, 128, 24};
    *frame = (tachyon_frame_t){.magic = TACHYON_FRAME_MAGIC,
                               .version = 1,
                               .ndim = (uint8_t)input_below(input, 7),
                               .code = (uint8_t)input_below(input, 3),
                               .bits = bits[input_below(input, 6)],
                               .lanes = 1,
                               .flags = (uint16_t)input_below(input, 2),
                               .tag = (uint32_t)input_number(input, 1)};
    for (unsigned i = 0; i < frame->ndim; i++)
        frame->shape[i] = make_extent(input);
    switch (input_below(input, 16)) { /* and one thing wrong */
    case 0:
        frame->magic ^= 1u << input_below(input, 32);
        break;
    case 1:
        frame->version = (uint8_t)input_number(input, 1);
        break;
    case 2:
        frame->ndim = (uint8_t)input_number(input, 1);
        break;
    case 3:
        frame->code = (uint8_t)input_number(input, 1);
        break;
    case 4:
        frame->bits = (uint8_t)input_number(input, 1);
        break;
    case 5:
        frame->lanes = (uint16_t)input_below(input, 4);
        break;
    case 6:
        frame->flags = (uint16_t)input_number(input, 2);
        break;
    case 7:
        frame->shape[input_below(input, 6)] = (int64_t)input_number(input, 8);
        break;
    case 8:
        frame->shape[input_below(input, 6)] = -1;
        break;
    }
}

/* Where the last item lies, by the strides that a reader computes from the shape. */
static unguided void check_last(const tachyon_frame_t *frame, uint64_t bytes) {
    int64_t stride = frame->bits / 8, last = 0;
    bool column_major = frame->flags & TACHYON_FRAME_COLUMN_MAJOR;
    for (int i = 0; i < frame->ndim; i++) {
        int64_t extent = frame->shape[column_major ? i : frame->ndim - 1 - i];
        if (extent > 0)
            last += (extent - 1) * stride; /* a sanitizer sees what overflows */
        stride *= extent ? extent : 1;
    }
    if (bytes > 0)
        CHECK_EQ(last + frame->bits / 8, bytes);
}

static void check_text(tachyon_frame_error_t error, const tachyon_frame_t *frame,
                       uint64_t size) {
    char *text = malloc(128);
    CHECK(text);
    tachyon_frame_explain(error, frame, size, text, 128);
    CHECK(strlen(text) > 0 && strlen(text) < 127);
    free(text);
}

/* To fill in what stands there gives the same header, or says the same of it. */
static void check_fill(const tachyon_frame_t *frame, tachyon_frame_error_t error,
                       uint64_t bytes) {
    tachyon_frame_t filled;
    uint64_t size = 0;
    int64_t *shape = malloc((frame->ndim + 1) * sizeof *shape); /* and not one more */
    CHECK(shape);
    memset(shape, 0, (frame->ndim + 1) * sizeof *shape);
    memcpy(shape, frame->shape, (frame->ndim < 6 ? frame->ndim : 6) * sizeof *shape);
    tachyon_frame_error_t told =
        tachyon_frame_fill(&filled, frame->code, frame->bits, frame->ndim, shape,
                           frame->flags, frame->tag, &size);
    free(shape);
    if (error == TACHYON_FRAME_OK || error == TACHYON_FRAME_WRONG_SIZE) {
        CHECK_EQ(told, TACHYON_FRAME_OK);
        CHECK_EQ(memcmp(&filled, frame, sizeof filled), 0);
        CHECK_EQ(size, 64 + bytes);
    } else if (error != TACHYON_FRAME_FOREIGN && error != TACHYON_FRAME_BAD_VERSION &&
               error != TACHYON_FRAME_BAD_LANES && error != TACHYON_FRAME_BAD_REST) {
        CHECK_EQ(told, error);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length) {
    struct input input = {data, length};
    tachyon_frame_t *frame = malloc(sizeof *frame); /* so that its end is watched */
    wide bytes = 0;
    uint64_t measured = 0;
    CHECK(frame);
    make_header(&input, frame);
    bool good = is_good(frame, &bytes);
    tachyon_frame_error_t error = tachyon_frame_measure(frame, &measured);
    CHECK_EQ(error == TACHYON_FRAME_OK, good);
    CHECK_EQ(measured, (uint64_t)bytes);
    if (error == TACHYON_FRAME_BAD_SHAPE || error == TACHYON_FRAME_TOO_LARGE)
        CHECK_EQ(error == TACHYON_FRAME_BAD_SHAPE, is_negative(frame));
    check_text(error, frame, 0);
    check_fill(frame, error, measured);

    uint64_t size = input_below(&input, 4) ? 64 + measured : input_size(&input, 200);
    error = tachyon_frame_check(frame, size);
    CHECK_EQ(error == TACHYON_FRAME_OK, good && size >= 64 && size - 64 == bytes);
    CHECK_EQ(error == TACHYON_FRAME_SHORT, size < 64);
    check_text(error, frame, size);
    if (error == TACHYON_FRAME_OK)
        check_last(frame, size - 64);
    free(frame);
    return 0;
}
