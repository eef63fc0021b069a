/* SPDX-License-Identifier: Apache-2.0 */
/* The test vector: its description has 145 bytes, and the fingerprint cb15b587fe0eebb4. */
#ifndef MARKET_TICK_H
#define MARKET_TICK_H

#include <stdint.h>

#pragma pack(push, 1)
typedef struct {
    uint8_t symbol[8];
    double price;
    uint32_t quantity;
    uint64_t timestamp;
    uint8_t padding[4];
} MarketTick;
#pragma pack(pop)

#endif
