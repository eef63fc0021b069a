/* tachyon.schema 1, every.h f87bb6f5715b7a35: written by python -m tachyon.schema */
/* clang-format off */
#ifndef TACHYON_EVERY_TYPES_H
#define TACHYON_EVERY_TYPES_H

#include "every.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/** What tachyon_options_t has of the messages. */
#define EVERY_TYPES \
    "tachyon-types 1 little\n" \
    "enum Side u32\n" \
    " BID 1\n" \
    " ASK 2\n" \
    "struct Tick.spread\n" \
    " bid f32 @0\n" \
    " ask f32 @4\n" \
    " = 8 align 4\n" \
    "message 1 Tick +\n" \
    " symbol char[8] @0\n" \
    " price f64 @8\n" \
    " side Side @16\n" \
    " halted bool @20\n" \
    " reserved u8[3] @21\n" \
    " venue u32[2] @24\n" \
    " spread Tick.spread[2] @32\n" \
    " late u64 @48\n" \
    " port u16 @56\n" \
    " flags bool[6] @58\n" \
    " = 64 align 8\n" \
    "struct part\n" \
    " a char @0\n" \
    " b f64 @8\n" \
    " = 16 align 8\n" \
    "message 2 Cancel\n" \
    " order u32 @0\n" \
    " len u8 @4\n" \
    " net u16be @6\n" \
    " parts part[2][3] @8\n" \
    " sides Side[3] @104\n" \
    " type i32 @116\n" \
    " = 120 align 8\n"
#define EVERY_TYPES_SIZE 489
#define EVERY_FINGERPRINT UINT64_C(0x0fed4c1accdba15c)

#define Tick_TYPE 1u
#define Cancel_TYPE 2u

/* The layout is what the description says, and no other compiler's. */
#ifdef __cplusplus
#define TACHYON_EVERY_ASSERT(holds, what) static_assert(holds, what)
#define TACHYON_EVERY_ALIGNOF(type) alignof(type)
#else
#define TACHYON_EVERY_ASSERT(holds, what) _Static_assert(holds, what)
#define TACHYON_EVERY_ALIGNOF(type) _Alignof(type)
#endif

TACHYON_EVERY_ASSERT(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "byte order");
TACHYON_EVERY_ASSERT(sizeof(Tick) == 64 && TACHYON_EVERY_ALIGNOF(Tick) == 8, "Tick");
TACHYON_EVERY_ASSERT(offsetof(Tick, symbol) == 0 && sizeof(((Tick *)0)->symbol) == 8, "Tick.symbol");
TACHYON_EVERY_ASSERT(offsetof(Tick, price) == 8 && sizeof(((Tick *)0)->price) == 8, "Tick.price");
TACHYON_EVERY_ASSERT(offsetof(Tick, side) == 16 && sizeof(((Tick *)0)->side) == 4, "Tick.side");
TACHYON_EVERY_ASSERT(offsetof(Tick, halted) == 20 && sizeof(((Tick *)0)->halted) == 1, "Tick.halted");
TACHYON_EVERY_ASSERT(offsetof(Tick, reserved) == 21 && sizeof(((Tick *)0)->reserved) == 3, "Tick.reserved");
TACHYON_EVERY_ASSERT(offsetof(Tick, venue) == 24 && sizeof(((Tick *)0)->venue) == 8, "Tick.venue");
TACHYON_EVERY_ASSERT(offsetof(Tick, spread) == 32 && sizeof(((Tick *)0)->spread) == 16, "Tick.spread");
TACHYON_EVERY_ASSERT(offsetof(Tick, spread[0].bid) == 32 && sizeof(((Tick *)0)->spread[0].bid) == 4, "Tick.spread[0].bid");
TACHYON_EVERY_ASSERT(offsetof(Tick, spread[0].ask) == 36 && sizeof(((Tick *)0)->spread[0].ask) == 4, "Tick.spread[0].ask");
TACHYON_EVERY_ASSERT(offsetof(Tick, late) == 48 && sizeof(((Tick *)0)->late) == 8, "Tick.late");
TACHYON_EVERY_ASSERT(offsetof(Tick, port) == 56 && sizeof(((Tick *)0)->port) == 2, "Tick.port");
TACHYON_EVERY_ASSERT(offsetof(Tick, flags) == 58 && sizeof(((Tick *)0)->flags) == 6, "Tick.flags");
TACHYON_EVERY_ASSERT(sizeof(struct part) == 16 && TACHYON_EVERY_ALIGNOF(struct part) == 8, "part");
TACHYON_EVERY_ASSERT(offsetof(struct part, a) == 0 && sizeof(((struct part *)0)->a) == 1, "part.a");
TACHYON_EVERY_ASSERT(offsetof(struct part, b) == 8 && sizeof(((struct part *)0)->b) == 8, "part.b");
TACHYON_EVERY_ASSERT(sizeof(struct Cancel) == 120 && TACHYON_EVERY_ALIGNOF(struct Cancel) == 8, "Cancel");
TACHYON_EVERY_ASSERT(offsetof(struct Cancel, order) == 0 && sizeof(((struct Cancel *)0)->order) == 4, "Cancel.order");
TACHYON_EVERY_ASSERT(offsetof(struct Cancel, len) == 4 && sizeof(((struct Cancel *)0)->len) == 1, "Cancel.len");
TACHYON_EVERY_ASSERT(offsetof(struct Cancel, dlc) == 4 && sizeof(((struct Cancel *)0)->dlc) == 1, "Cancel.dlc");
TACHYON_EVERY_ASSERT(offsetof(struct Cancel, net) == 6 && sizeof(((struct Cancel *)0)->net) == 2, "Cancel.net");
TACHYON_EVERY_ASSERT(offsetof(struct Cancel, parts) == 8 && sizeof(((struct Cancel *)0)->parts) == 96, "Cancel.parts");
TACHYON_EVERY_ASSERT(offsetof(struct Cancel, sides) == 104 && sizeof(((struct Cancel *)0)->sides) == 12, "Cancel.sides");
TACHYON_EVERY_ASSERT(offsetof(struct Cancel, type) == 116 && sizeof(((struct Cancel *)0)->type) == 4, "Cancel.type");
#undef TACHYON_EVERY_ASSERT
#undef TACHYON_EVERY_ALIGNOF

/** The Tick in a payload, where it lies; NULL unless type_id and size are those of
 * Tick, this version or a later one. */
static inline const Tick *Tick_of(const void *payload, uint32_t type_id,
                                  size_t size)
{
    return payload && type_id == Tick_TYPE && size >= sizeof(Tick)
               ? (const Tick *)payload
               : NULL;
}

/** Copy the Tick in a payload, of any version; fields that it does not wholly have
 * become zero. False, and nothing is copied, unless type_id and size are its. */
static inline bool Tick_copy(Tick *to, const void *payload, uint32_t type_id,
                             size_t size)
{
    if (!payload || type_id != Tick_TYPE || size < 48)
        return false;
    size_t whole = 48;
    if (size >= 56)
        whole = 56;
    if (size >= 58)
        whole = 58;
    if (size >= 64)
        whole = 64;
    memset(to, 0, sizeof *to);
    memcpy(to, payload, whole);
    return true;
}

/** The Cancel in a payload, where it lies; NULL unless type_id and size are those of
 * Cancel. */
static inline const struct Cancel *Cancel_of(const void *payload, uint32_t type_id,
                                             size_t size)
{
    return payload && type_id == Cancel_TYPE && size == sizeof(struct Cancel)
               ? (const struct Cancel *)payload
               : NULL;
}

#endif
