/* SPDX-License-Identifier: Apache-2.0 */
/* What the detector has to say of each picture. */
#ifndef DETECTIONS_H
#define DETECTIONS_H

#include <stdint.h>

typedef struct {
    uint32_t picture; /* its number, from 0: the tag of its frame */
    uint32_t pixels;  /* of the ball; 0: none is seen, and the rest is 0 */
    float x, y;       /* its centre, in pixels from the left and the top */
    uint16_t left, top, right, bottom; /* what encloses it, the last ones included */
} Detection;

#endif
