/* SPDX-License-Identifier: Apache-2.0 */
/* What typed.rs sends: the version of this program, and those of others. */
#include <linux/types.h>
#include <stdbool.h>
#include <stdint.h>
#include <tachyon.h>

#ifndef QUANTITY
#define QUANTITY uint32_t
#endif

typedef struct __attribute__((packed)) {
    char symbol[8];
    double price;
    QUANTITY quantity;
    uint64_t timestamp;
} MarketTick;

enum Side {
    BID = 1,
    ASK = 2,
#ifdef NEXT
    CROSS = 3,
#endif
};

typedef struct TACHYON_MAY_GROW {
    uint64_t number;
    enum Side side;
    bool hidden;
    uint8_t reserved;
    __be16 port;
    struct {
        float bid;
        float ask;
    } spread[2];
#ifdef NEXT
    uint64_t expires TACHYON_SINCE(2);
    uint32_t flags TACHYON_SINCE(3);
    uint32_t venue TACHYON_SINCE(3);
#endif
} Order;
