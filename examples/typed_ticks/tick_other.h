/* SPDX-License-Identifier: Apache-2.0 */
/* What tick.h may not become: quantity has another type. */
#ifndef TICK_OTHER_H
#define TICK_OTHER_H

#include <tachyon.h>

typedef enum { BID = 1, ASK = 2 } Side;

typedef struct TACHYON_MAY_GROW {
    char symbol[8];
    double price;
    uint64_t timestamp; /* ns since 1970 when it was sent */
    uint64_t quantity;
    Side side;
    uint8_t reserved[4];
} Tick;

#endif
