/* SPDX-License-Identifier: Apache-2.0 */
/* One of everything that a header may hold. */
#ifndef EVERY_H
#define EVERY_H

#include <linux/types.h>
#include <stdbool.h>
#include <tachyon.h>

#define LEVELS 10

enum Side { BID = 1, ASK = 2 };

typedef struct TACHYON_MAY_GROW {
    char symbol[8];
    double price;
    enum Side side;
    bool halted;
    uint8_t reserved[3];
    uint32_t venue[2];
    struct {
        float bid;
        float ask;
    } spread[2];
    uint64_t late TACHYON_SINCE(2);
    uint16_t port TACHYON_SINCE(3);
    bool flags[6] TACHYON_SINCE(3);
} Tick;

struct part {
    char a;
    double b;
};

struct Cancel {
    uint32_t order;
    union {
        __u8 len;
        __u8 dlc;
    };
    __be16 net;
    struct part parts[2][3];
    enum Side sides[3];
    int type;
};

#endif
