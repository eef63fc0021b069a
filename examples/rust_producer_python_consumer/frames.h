/* SPDX-License-Identifier: Apache-2.0 */
/* A stream of frames, then one End, by which the consumer checks that it has them all. */
#ifndef FRAMES_H
#define FRAMES_H

#include <stdint.h>

#define FRAME_SAMPLES 256

typedef struct {
    float samples[FRAME_SAMPLES];
} Frame;

typedef struct {
    uint64_t frames;
    uint32_t adler32; /* of them all */
    uint8_t reserved[4];
} End;

#endif
