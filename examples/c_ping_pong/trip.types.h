/* tachyon.schema 1, trip.h 9c4dcf1e02f910ed: written by python -m tachyon.schema */
/* clang-format off */
#ifndef TACHYON_TRIP_TYPES_H
#define TACHYON_TRIP_TYPES_H

#include "trip.h"
#include <stddef.h>
#include <stdint.h>

/** What tachyon_options_t has of the messages. */
#define TRIP_TYPES \
    "tachyon-types 1 little\n" \
    "message 1 Trip\n" \
    " number u64 @0\n" \
    " filler u8[24] @8\n" \
    " = 32 align 8\n"
#define TRIP_TYPES_SIZE 85
#define TRIP_FINGERPRINT UINT64_C(0xd3c6d47a2463b529)

#define Trip_TYPE 1u

/* The layout is what the description says, and no other compiler's. */
#ifdef __cplusplus
#define TACHYON_TRIP_ASSERT(holds, what) static_assert(holds, what)
#define TACHYON_TRIP_ALIGNOF(type) alignof(type)
#else
#define TACHYON_TRIP_ASSERT(holds, what) _Static_assert(holds, what)
#define TACHYON_TRIP_ALIGNOF(type) _Alignof(type)
#endif

TACHYON_TRIP_ASSERT(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "byte order");
TACHYON_TRIP_ASSERT(sizeof(Trip) == 32 && TACHYON_TRIP_ALIGNOF(Trip) == 8, "Trip");
TACHYON_TRIP_ASSERT(offsetof(Trip, number) == 0 && sizeof(((Trip *)0)->number) == 8, "Trip.number");
TACHYON_TRIP_ASSERT(offsetof(Trip, filler) == 8 && sizeof(((Trip *)0)->filler) == 24, "Trip.filler");
#undef TACHYON_TRIP_ASSERT
#undef TACHYON_TRIP_ALIGNOF

/** The Trip in a payload, where it lies; NULL unless type_id and size are those of
 * Trip. */
static inline const Trip *Trip_of(const void *payload, uint32_t type_id,
                                  size_t size)
{
    return payload && type_id == Trip_TYPE && size == sizeof(Trip)
               ? (const Trip *)payload
               : NULL;
}

#endif
