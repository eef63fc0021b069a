/* tachyon.schema 1, market_tick.h 8734ad7852bd0ba0: written by python -m tachyon.schema */
/* clang-format off */
#ifndef TACHYON_MARKET_TICK_TYPES_H
#define TACHYON_MARKET_TICK_TYPES_H

#include "market_tick.h"
#include <stddef.h>
#include <stdint.h>

/** What tachyon_options_t has of the messages. */
#define MARKET_TICK_TYPES \
    "tachyon-types 1 little\n" \
    "message 1 MarketTick\n" \
    " symbol char[8] @0\n" \
    " price f64 @8\n" \
    " quantity u32 @16\n" \
    " timestamp u64 @20\n" \
    " padding u8[4] @28\n" \
    " = 32 align 1\n"
#define MARKET_TICK_TYPES_SIZE 147
#define MARKET_TICK_FINGERPRINT UINT64_C(0xdbadd98bea05920f)

#define MarketTick_TYPE 1u

/* The layout is what the description says, and no other compiler's. */
#ifdef __cplusplus
#define TACHYON_MARKET_TICK_ASSERT(holds, what) static_assert(holds, what)
#define TACHYON_MARKET_TICK_ALIGNOF(type) alignof(type)
#else
#define TACHYON_MARKET_TICK_ASSERT(holds, what) _Static_assert(holds, what)
#define TACHYON_MARKET_TICK_ALIGNOF(type) _Alignof(type)
#endif

TACHYON_MARKET_TICK_ASSERT(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "byte order");
TACHYON_MARKET_TICK_ASSERT(sizeof(MarketTick) == 32 && TACHYON_MARKET_TICK_ALIGNOF(MarketTick) == 1, "MarketTick");
TACHYON_MARKET_TICK_ASSERT(offsetof(MarketTick, symbol) == 0 && sizeof(((MarketTick *)0)->symbol) == 8, "MarketTick.symbol");
TACHYON_MARKET_TICK_ASSERT(offsetof(MarketTick, price) == 8 && sizeof(((MarketTick *)0)->price) == 8, "MarketTick.price");
TACHYON_MARKET_TICK_ASSERT(offsetof(MarketTick, quantity) == 16 && sizeof(((MarketTick *)0)->quantity) == 4, "MarketTick.quantity");
TACHYON_MARKET_TICK_ASSERT(offsetof(MarketTick, timestamp) == 20 && sizeof(((MarketTick *)0)->timestamp) == 8, "MarketTick.timestamp");
TACHYON_MARKET_TICK_ASSERT(offsetof(MarketTick, padding) == 28 && sizeof(((MarketTick *)0)->padding) == 4, "MarketTick.padding");
#undef TACHYON_MARKET_TICK_ASSERT
#undef TACHYON_MARKET_TICK_ALIGNOF

/** The MarketTick in a payload, where it lies; NULL unless type_id and size are those of
 * MarketTick. */
static inline const MarketTick *MarketTick_of(const void *payload, uint32_t type_id,
                                              size_t size)
{
    return payload && type_id == MarketTick_TYPE && size == sizeof(MarketTick)
               ? (const MarketTick *)payload
               : NULL;
}

#endif
