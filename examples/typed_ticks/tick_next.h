/* SPDX-License-Identifier: Apache-2.0 */
/* The next version of tick.h: a field more at the end. */
#ifndef TICK_NEXT_H
#define TICK_NEXT_H

#include <tachyon.h>

typedef enum { BID = 1, ASK = 2 } Side;

typedef struct TACHYON_MAY_GROW {
    char symbol[8];
    double price;
    uint64_t timestamp; /* ns since 1970 when it was sent */
    uint32_t quantity;
    Side side;
    char venue[8] TACHYON_SINCE(2);
} Tick;

#endif
