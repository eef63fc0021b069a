/* SPDX-License-Identifier: Apache-2.0 */
/* Messages as market data feeds have them: packed, in network order. */
#ifndef FEED_H
#define FEED_H

#include <linux/types.h>

#pragma pack(push, 1)
typedef struct {
    char type;
    __be16 locate;
    __be16 tracking;
    __u8 timestamp[6];
    __be64 order;
    char side;
    __be32 shares;
    char stock[8];
    __be32 price;
} AddOrder;

typedef struct {
    char type;
    __be16 locate;
    __be16 tracking;
    __u8 timestamp[6];
    __be64 order;
    __be32 shares;
    __be64 match;
} OrderExecuted;
#pragma pack(pop)

#endif
