/* tachyon.schema 1, detections.h 9624e48c557055cc: written by python -m tachyon.schema */
/* clang-format off */
#ifndef TACHYON_DETECTIONS_TYPES_H
#define TACHYON_DETECTIONS_TYPES_H

#include "detections.h"
#include <stddef.h>
#include <stdint.h>

/** What tachyon_options_t has of the messages. */
#define DETECTIONS_TYPES \
    "tachyon-types 1 little\n" \
    "message 1 Detection\n" \
    " picture u32 @0\n" \
    " pixels u32 @4\n" \
    " x f32 @8\n" \
    " y f32 @12\n" \
    " left u16 @16\n" \
    " top u16 @18\n" \
    " right u16 @20\n" \
    " bottom u16 @22\n" \
    " = 24 align 4\n"
#define DETECTIONS_TYPES_SIZE 167
#define DETECTIONS_FINGERPRINT UINT64_C(0x4f3f56cddf2d9ceb)

#define Detection_TYPE 1u

/* The layout is what the description says, and no other compiler's. */
#ifdef __cplusplus
#define TACHYON_DETECTIONS_ASSERT(holds, what) static_assert(holds, what)
#define TACHYON_DETECTIONS_ALIGNOF(type) alignof(type)
#else
#define TACHYON_DETECTIONS_ASSERT(holds, what) _Static_assert(holds, what)
#define TACHYON_DETECTIONS_ALIGNOF(type) _Alignof(type)
#endif

TACHYON_DETECTIONS_ASSERT(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "byte order");
TACHYON_DETECTIONS_ASSERT(sizeof(Detection) == 24 && TACHYON_DETECTIONS_ALIGNOF(Detection) == 4, "Detection");
TACHYON_DETECTIONS_ASSERT(offsetof(Detection, picture) == 0 && sizeof(((Detection *)0)->picture) == 4, "Detection.picture");
TACHYON_DETECTIONS_ASSERT(offsetof(Detection, pixels) == 4 && sizeof(((Detection *)0)->pixels) == 4, "Detection.pixels");
TACHYON_DETECTIONS_ASSERT(offsetof(Detection, x) == 8 && sizeof(((Detection *)0)->x) == 4, "Detection.x");
TACHYON_DETECTIONS_ASSERT(offsetof(Detection, y) == 12 && sizeof(((Detection *)0)->y) == 4, "Detection.y");
TACHYON_DETECTIONS_ASSERT(offsetof(Detection, left) == 16 && sizeof(((Detection *)0)->left) == 2, "Detection.left");
TACHYON_DETECTIONS_ASSERT(offsetof(Detection, top) == 18 && sizeof(((Detection *)0)->top) == 2, "Detection.top");
TACHYON_DETECTIONS_ASSERT(offsetof(Detection, right) == 20 && sizeof(((Detection *)0)->right) == 2, "Detection.right");
TACHYON_DETECTIONS_ASSERT(offsetof(Detection, bottom) == 22 && sizeof(((Detection *)0)->bottom) == 2, "Detection.bottom");
#undef TACHYON_DETECTIONS_ASSERT
#undef TACHYON_DETECTIONS_ALIGNOF

/** The Detection in a payload, where it lies; NULL unless type_id and size are those of
 * Detection. */
static inline const Detection *Detection_of(const void *payload, uint32_t type_id,
                                            size_t size)
{
    return payload && type_id == Detection_TYPE && size == sizeof(Detection)
               ? (const Detection *)payload
               : NULL;
}

#endif
