/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tachyon_frame.h
 * Frames: messages that say what they are, an array of numbers of one kind with its shape.
 * 64 bytes of header, then the items, contiguous. What is in here is all that both ends
 * need; there is nothing to link.
 *
 * Send: fill a header in, reserve *size bytes, write the items behind it.
 *
 *     tachyon_frame_t frame;
 *     int64_t shape[] = {1080, 1920, 3};
 *     uint64_t size;
 *     tachyon_frame_fill(&frame, TACHYON_FRAME_UINT, 8, 3, shape, 0, camera, &size);
 *     unsigned char *slot = tachyon_acquire_tx_timed(bus, size, spin, timeout_ns);
 *     memcpy(slot, &frame, sizeof frame);
 *     ... write size - sizeof frame bytes of items at slot + sizeof frame ...
 *     tachyon_commit_tx(bus, size, type_id);
 *
 * Receive: the header is copied before it is looked at, for a peer can change it meanwhile;
 * from then on only the copy counts.
 *
 *     tachyon_frame_t frame;
 *     if (tachyon_frame_read(message, size, &frame) != TACHYON_FRAME_OK)
 *         ... tachyon_frame_explain() says why ...
 *     items = (const char *)message + sizeof frame;
 *     ... size - sizeof frame bytes of items, as many as frame.shape says ...
 *
 * A message of more than 32 bytes lies at a multiple of 64, and so do the items of a frame.
 * Numbers are in the byte order of the machine, which both ends share: little-endian on all
 * that Tachyon is tested on.
 */
#ifndef TACHYON_FRAME_H
#define TACHYON_FRAME_H

#include "tachyon.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/** "TACF". */
#define TACHYON_FRAME_MAGIC 0x46434154u
#define TACHYON_FRAME_VERSION 1
#define TACHYON_FRAME_MAX_NDIM 6
/** Bytes of the header, and where the items begin. */
#define TACHYON_FRAME_HEADER_BYTES 64

/** Flag: the first index runs fastest, as in Fortran; else the last one does. */
#define TACHYON_FRAME_COLUMN_MAJOR 1

/** What an item is; the numbers are those of DLPack. */
typedef enum {
    TACHYON_FRAME_INT = 0,     /**< two's complement */
    TACHYON_FRAME_UINT = 1,    /**< unsigned */
    TACHYON_FRAME_FLOAT = 2,   /**< IEEE 754 */
    TACHYON_FRAME_BFLOAT = 4,  /**< upper half of a float of 32 bits */
    TACHYON_FRAME_COMPLEX = 5, /**< two floats, of half of the bits each */
    TACHYON_FRAME_BOOL = 6     /**< 0: false */
} tachyon_frame_code_t;

/** The header. */
typedef struct tachyon_frame {
    uint32_t magic;  /**< TACHYON_FRAME_MAGIC */
    uint8_t version; /**< TACHYON_FRAME_VERSION */
    uint8_t
        ndim; /**< dimensions, 0 to TACHYON_FRAME_MAX_NDIM; of 0 there is one item */
    uint8_t code;   /**< a tachyon_frame_code_t */
    uint8_t bits;   /**< of one item: 8 to 128, a multiple of 8 */
    uint16_t lanes; /**< 1 */
    uint16_t flags; /**< 0 or TACHYON_FRAME_COLUMN_MAJOR */
    uint32_t tag;   /**< free for use: a stream, a camera */
    int64_t shape[TACHYON_FRAME_MAX_NDIM]; /**< items along each dimension, at least 0;
                                                beyond ndim 0 */
} tachyon_frame_t;

#if defined(__cplusplus) && __cplusplus >= 201103L
#define TACHYON_FRAME_ASSERT_(condition) static_assert(condition, #condition)
#elif defined(__cplusplus)
#define TACHYON_FRAME_ASSERT_(condition)                                               \
    extern "C" const char tachyon_frame_assert_[(condition) ? 1 : -1]
#else
#define TACHYON_FRAME_ASSERT_(condition) _Static_assert(condition, #condition)
#endif
TACHYON_FRAME_ASSERT_(sizeof(tachyon_frame_t) == TACHYON_FRAME_HEADER_BYTES);
TACHYON_FRAME_ASSERT_(offsetof(tachyon_frame_t, version) == 4);
TACHYON_FRAME_ASSERT_(offsetof(tachyon_frame_t, ndim) == 5);
TACHYON_FRAME_ASSERT_(offsetof(tachyon_frame_t, code) == 6);
TACHYON_FRAME_ASSERT_(offsetof(tachyon_frame_t, bits) == 7);
TACHYON_FRAME_ASSERT_(offsetof(tachyon_frame_t, lanes) == 8);
TACHYON_FRAME_ASSERT_(offsetof(tachyon_frame_t, flags) == 10);
TACHYON_FRAME_ASSERT_(offsetof(tachyon_frame_t, tag) == 12);
TACHYON_FRAME_ASSERT_(offsetof(tachyon_frame_t, shape) == 16);
#undef TACHYON_FRAME_ASSERT_

/** Why a message is no frame. */
typedef enum {
    TACHYON_FRAME_OK = 0,
    TACHYON_FRAME_SHORT = 1,       /**< it has less bytes than a header */
    TACHYON_FRAME_FOREIGN = 2,     /**< it does not begin with the magic: not a frame */
    TACHYON_FRAME_BAD_VERSION = 3, /**< of a format that this end does not read */
    TACHYON_FRAME_BAD_NDIM = 4,    /**< too many dimensions */
    TACHYON_FRAME_BAD_CODE = 5,    /**< no tachyon_frame_code_t */
    TACHYON_FRAME_BAD_BITS = 6,  /**< items of no whole bytes, of none or of too many */
    TACHYON_FRAME_BAD_LANES = 7, /**< items of several numbers */
    TACHYON_FRAME_BAD_FLAGS = 8, /**< unknown flags */
    TACHYON_FRAME_BAD_SHAPE = 9, /**< less than no items along a dimension */
    TACHYON_FRAME_BAD_REST = 10, /**< shape is not 0 beyond ndim */
    TACHYON_FRAME_TOO_LARGE = 11, /**< more bytes than there can be: 2^63 or more */
    TACHYON_FRAME_WRONG_SIZE =
        12 /**< the message has more or less than the shape says */
} tachyon_frame_error_t;

/**
 * Look at a header alone.
 *
 * @param frame  A copy of the header that nobody else can change.
 * @param bytes  Set to the bytes of its items; of a bad one to 0.
 * @return OK; anything but SHORT and WRONG_SIZE.
 */
static inline tachyon_frame_error_t
tachyon_frame_measure(const tachyon_frame_t *frame, uint64_t *bytes) TACHYON_NOEXCEPT {
    *bytes = 0;
    if (frame->magic != TACHYON_FRAME_MAGIC)
        return TACHYON_FRAME_FOREIGN;
    if (frame->version != TACHYON_FRAME_VERSION)
        return TACHYON_FRAME_BAD_VERSION;
    if (frame->ndim > TACHYON_FRAME_MAX_NDIM)
        return TACHYON_FRAME_BAD_NDIM;
    if (frame->code > TACHYON_FRAME_BOOL || frame->code == 3)
        return TACHYON_FRAME_BAD_CODE;
    if (frame->bits == 0 || frame->bits % 8 != 0 || frame->bits > 128)
        return TACHYON_FRAME_BAD_BITS;
    if (frame->lanes != 1)
        return TACHYON_FRAME_BAD_LANES;
    if (frame->flags > TACHYON_FRAME_COLUMN_MAJOR)
        return TACHYON_FRAME_BAD_FLAGS;
    /* No stride overflows either, also where there are no items at all: 0 counts as 1. */
    uint64_t most = TACHYON_CAST_(uint64_t, INT64_MAX) / (frame->bits / 8u);
    uint64_t items = 1, none = 0;
    for (unsigned i = 0; i < frame->ndim; i++) {
        uint64_t extent = TACHYON_CAST_(uint64_t, frame->shape[i]);
        if (frame->shape[i] < 0)
            return TACHYON_FRAME_BAD_SHAPE;
        if (extent > 0 && items > most / extent)
            return TACHYON_FRAME_TOO_LARGE;
        if (extent > 0)
            items *= extent;
        else
            none = 1;
    }
    for (unsigned i = frame->ndim; i < TACHYON_FRAME_MAX_NDIM; i++)
        if (frame->shape[i] != 0)
            return TACHYON_FRAME_BAD_REST;
    *bytes = none ? 0 : items * (frame->bits / 8u);
    return TACHYON_FRAME_OK;
}

/**
 * Is a message a frame?
 *
 * @param frame  A copy of its first 64 bytes that nobody else can change; of a shorter
 *               message anything. Of a message in the ring tachyon_frame_read() makes it.
 * @param size   Bytes of the message, header and all.
 * @return OK: the items are the size - 64 bytes behind the header, as many as the shape
 *         says.
 */
static inline tachyon_frame_error_t
tachyon_frame_check(const tachyon_frame_t *frame, uint64_t size) TACHYON_NOEXCEPT {
    uint64_t bytes = 0;
    if (size < TACHYON_FRAME_HEADER_BYTES)
        return TACHYON_FRAME_SHORT;
    tachyon_frame_error_t error = tachyon_frame_measure(frame, &bytes);
    if (error == TACHYON_FRAME_OK && bytes != size - TACHYON_FRAME_HEADER_BYTES)
        return TACHYON_FRAME_WRONG_SIZE;
    return error;
}

/**
 * Copy the header of a message in the ring, and look whether it is a frame.
 *
 * @param message  As it was received.
 * @param size     Its bytes.
 * @param frame    Set to the copy, to which all that is said here applies, whatever a peer
 *                 writes meanwhile; all 0 where the message is SHORT.
 * @return As tachyon_frame_check().
 */
static inline tachyon_frame_error_t
tachyon_frame_read(const void *message, uint64_t size,
                   tachyon_frame_t *frame) TACHYON_NOEXCEPT {
    memset(frame, 0, sizeof *frame);
    if (size >= TACHYON_FRAME_HEADER_BYTES)
        memcpy(frame, message, sizeof *frame);
    /* Else a compiler may look into the ring again for what it has no register for. */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    return tachyon_frame_check(frame, size);
}

/**
 * Fill in a header.
 *
 * @param code   What an item is, a tachyon_frame_code_t, ...
 * @param bits   ... and how many bits it has.
 * @param ndim   Dimensions.
 * @param shape  Items along each of them; may be NULL when ndim is 0.
 * @param flags  0 or TACHYON_FRAME_COLUMN_MAJOR.
 * @param size   Set to the bytes of the whole message, 64 and those of the items; 0 where it
 *               would be no frame.
 * @return OK; or why it would be no frame: BAD_NDIM, BAD_CODE, BAD_BITS, BAD_FLAGS,
 *         BAD_SHAPE, TOO_LARGE. *frame says the same to tachyon_frame_explain().
 */
static inline tachyon_frame_error_t
tachyon_frame_fill(tachyon_frame_t *frame, unsigned code, unsigned bits, unsigned ndim,
                   const int64_t *shape, unsigned flags, uint32_t tag,
                   uint64_t *size) TACHYON_NOEXCEPT {
    uint64_t bytes = 0;
    memset(frame, 0, sizeof *frame);
    frame->magic = TACHYON_FRAME_MAGIC;
    frame->version = TACHYON_FRAME_VERSION;
    /* What does not fit its place is none of those that are good either. */
    frame->ndim = TACHYON_CAST_(uint8_t, ndim > 255 ? 255 : ndim);
    frame->code = TACHYON_CAST_(uint8_t, code > 255 ? 255 : code);
    frame->bits = TACHYON_CAST_(uint8_t, bits > 255 ? 255 : bits);
    frame->lanes = 1;
    frame->flags = TACHYON_CAST_(uint16_t, flags > 65535 ? 65535 : flags);
    frame->tag = tag;
    for (unsigned i = 0; i < ndim && i < TACHYON_FRAME_MAX_NDIM; i++)
        frame->shape[i] = shape[i];
    tachyon_frame_error_t error = tachyon_frame_measure(frame, &bytes);
    *size = error == TACHYON_FRAME_OK ? TACHYON_FRAME_HEADER_BYTES + bytes : 0;
    return error;
}

/**
 * Say in English what is the matter with a header, with the value.
 *
 * @param error  What tachyon_frame_read(), _check() or _fill() has said, ...
 * @param frame  ... of this header, ...
 * @param size   ... of a message of so many bytes; 0 of _fill().
 * @param into   Room for `room` bytes of text and its end; 128 are enough.
 */
static inline void tachyon_frame_explain(tachyon_frame_error_t error,
                                         const tachyon_frame_t *frame, uint64_t size,
                                         char *into, size_t room) TACHYON_NOEXCEPT {
    uint64_t bytes = 0;
    unsigned i = 0;
    switch (error) {
    case TACHYON_FRAME_OK:
        snprintf(into, room, "a frame");
        return;
    case TACHYON_FRAME_SHORT:
        snprintf(into, room,
                 "not a frame: %" PRIu64 " bytes, fewer than the 64 of a header", size);
        return;
    case TACHYON_FRAME_FOREIGN:
        snprintf(into, room,
                 "not a frame: it begins with 0x%08" PRIx32 " instead of 0x%08" PRIx32,
                 frame->magic, TACHYON_FRAME_MAGIC);
        return;
    case TACHYON_FRAME_BAD_VERSION:
        snprintf(into, room, "a frame of format %u; this end knows %d", frame->version,
                 TACHYON_FRAME_VERSION);
        return;
    case TACHYON_FRAME_BAD_NDIM:
        snprintf(into, room, "a frame of %u dimensions; there can be %d", frame->ndim,
                 TACHYON_FRAME_MAX_NDIM);
        return;
    case TACHYON_FRAME_BAD_CODE:
        snprintf(into, room,
                 "a frame of items of code %u; 0 to 2 and 4 to 6 are int, uint, float, "
                 "bfloat, complex and bool",
                 frame->code);
        return;
    case TACHYON_FRAME_BAD_BITS:
        snprintf(into, room,
                 "a frame of items of %u bits; they have 8 to 128, a multiple of 8",
                 frame->bits);
        return;
    case TACHYON_FRAME_BAD_LANES:
        snprintf(into, room, "a frame of items of %u lanes; they have 1", frame->lanes);
        return;
    case TACHYON_FRAME_BAD_FLAGS:
        snprintf(into, room,
                 "a frame with the flags 0x%04x, of which only 0x0001 is known",
                 frame->flags);
        return;
    case TACHYON_FRAME_BAD_SHAPE:
        while (i < TACHYON_FRAME_MAX_NDIM - 1 && frame->shape[i] >= 0)
            i++;
        snprintf(into, room, "a frame of %" PRId64 " items along dimension %u",
                 frame->shape[i], i);
        return;
    case TACHYON_FRAME_BAD_REST:
        for (i = frame->ndim; i < TACHYON_FRAME_MAX_NDIM - 1 && frame->shape[i] == 0;)
            i++;
        snprintf(into, room,
                 "a frame of %u dimensions with %" PRId64 " items along dimension %u",
                 frame->ndim, frame->shape[i], i);
        return;
    case TACHYON_FRAME_TOO_LARGE:
        snprintf(into, room, "a frame of 2^63 bytes or more");
        return;
    case TACHYON_FRAME_WRONG_SIZE:
        if (tachyon_frame_measure(frame, &bytes) == TACHYON_FRAME_OK)
            snprintf(into, room,
                     "a frame whose shape makes %" PRIu64
                     " bytes of items, in a message "
                     "with %" PRIu64,
                     bytes, size - TACHYON_FRAME_HEADER_BYTES);
        else
            snprintf(into, room, "a frame of another size than its message");
        return;
    }
    snprintf(into, room, "not a frame");
}

#ifdef __cplusplus
}
#endif

#endif
