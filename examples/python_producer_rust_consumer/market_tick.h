/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file market_tick.h
 * The message that producer.py sends and consumer/ receives.
 *
 * This header is its only definition: `python -m tachyon.schema` has written from it
 * market_tick.py, market_tick.rs and market_tick.types.h. To a peer it is message 1, and
 * those of the other types are the same struct.
 *
 * A stream is any number of BID and ASK ticks, then one SENTINEL. The sentinel is a
 * MarketTick too, by which the consumer checks that nothing was lost or changed:
 *     price      ticks a second by schedule, their timestamps that at which each was
 *                due; 0 when they were sent as fast as possible
 *     quantity   the number of ticks before it
 *     timestamp  the sum, modulo 2^64, over those ticks of
 *                    bits of price as u64 + quantity + type_id
 */
#ifndef MARKET_TICK_H
#define MARKET_TICK_H

#include <stdint.h>

/** The type_id of a message. */
typedef enum {
    MARKET_TICK_SENTINEL = 0, /**< end of the stream, with count and sum */
    MARKET_TICK_BID = 1,
    MARKET_TICK_ASK = 2
} MarketTickType;

#pragma pack(push, 1)
/** One quote: 32 bytes, little-endian, packed, so timestamp is not aligned. */
typedef struct {
    char symbol[8];     /**< at 0: ASCII, filled up with zeros */
    double price;       /**< at 8 */
    uint32_t quantity;  /**< at 16 */
    uint64_t timestamp; /**< at 20: ns since 1970 when it was sent or due, 0: none */
    uint8_t padding[4]; /**< at 28: zero */
} MarketTick;
#pragma pack(pop)

#endif
