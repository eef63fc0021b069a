/* SPDX-License-Identifier: Apache-2.0 */
/* What is sent. Later versions may append fields: tick_next.h does. */
#ifndef TICK_H
#define TICK_H

#include <tachyon.h>

typedef enum { BID = 1, ASK = 2 } Side;

typedef struct TACHYON_MAY_GROW {
    char symbol[8];
    double price;
    uint64_t timestamp; /* ns since 1970 when it was sent */
    uint32_t quantity;
    Side side;
} Tick;

#endif
