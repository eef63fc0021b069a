/* SPDX-License-Identifier: Apache-2.0 */
/* The headers in a program, of C or C++, that lets no warning pass. Their macros take any
 * integer, keep their types, and are constant expressions of constants. Compiled only. */
#include "tachyon.h"
#include "tachyon_frame.h"

#if defined(__cplusplus) && __cplusplus < 201103L
#define PASTE_(a, b) a##b
#define NAME_(line) PASTE_(check_, line)
#define CHECK(condition) extern const char NAME_(__LINE__)[(condition) ? 1 : -1]
#define SAME_TYPE(value, type) CHECK(sizeof(value) == sizeof(type))
#define UNSIGNED(value) CHECK((value) > 0)
#elif defined(__cplusplus)
#define SAME_TYPE(value, type) static_assert(sizeof(value) == sizeof(type), #value)
#define CHECK(condition) static_assert(condition, #condition)
#define UNSIGNED(value) static_assert((value) > 0, #value)
#else
#define SAME_TYPE(value, type)                                                         \
    _Static_assert(_Generic((value), type: 1, default: 0), #value)
#define CHECK(condition) _Static_assert(condition, #condition)
#define UNSIGNED(value) _Static_assert((value) > 0, #value)
#endif

enum route { ORDERS = 300 };
#define TICK TACHYON_TYPE_ID(ORDERS, 7)

CHECK(TICK == 0x012C0007u);
CHECK(TACHYON_TYPE_ID(0xFFFF, 0x1FFFF) == 0xFFFFFFFFu);
CHECK(TACHYON_TYPE_ID(-1, -1) == 0xFFFFFFFFu);
CHECK(TACHYON_TYPE_ID(1u | 2u, 4 + 1) == 0x00030005u);
CHECK(TACHYON_ROUTE_ID(TICK) == ORDERS);
CHECK(TACHYON_MSG_TYPE(TICK) == 7);
CHECK(TACHYON_MSG_TYPE(0x1000000000007ull) == 7);
UNSIGNED(TACHYON_TYPE_ID(0x8000, 0));
SAME_TYPE(TACHYON_TYPE_ID(1, 2), uint32_t);
SAME_TYPE(TACHYON_ROUTE_ID(1), uint16_t);
SAME_TYPE(TACHYON_MSG_TYPE(1), uint16_t);

#ifdef __cplusplus
namespace user {
namespace tachyon_detail {
CHECK(TACHYON_TYPE_ID(1, 2) == 0x00010002u); /* in a namespace of that name too */
}
} // namespace user
#endif

#if defined(__cplusplus) && __cplusplus >= 201103L
enum class Scoped : unsigned char { FIRST = 3 };
CHECK(TACHYON_TYPE_ID(Scoped::FIRST, 1) == 0x00030001u);
#endif

extern const char sized[TACHYON_MSG_TYPE(TICK)];
extern uint32_t use_macros(tachyon_bus_t *bus, uint8_t byte, short small, int number,
                           uint32_t id, uint64_t wide, unsigned long long widest);

uint32_t use_macros(tachyon_bus_t *bus, uint8_t byte, short small, int number,
                    uint32_t id, uint64_t wide, unsigned long long widest) {
    switch (id) {
    case TICK:
        return TACHYON_TYPE_ID(byte, small) + TACHYON_TYPE_ID(number, id);
    case TACHYON_TYPE_ID(ORDERS, 8):
        return TACHYON_TYPE_ID(wide, widest);
    case TACHYON_MSG_TYPE(9):
        return TACHYON_ROUTE_ID(number) + 0u + TACHYON_ROUTE_ID(widest) +
               TACHYON_MSG_TYPE(small) + TACHYON_MSG_TYPE(byte);
    default:
        tachyon_flush(bus);
        return TACHYON_ROUTE_ID(id) + 0u + TACHYON_MSG_TYPE(id);
    }
}

extern tachyon_frame_error_t use_frame(const tachyon_frame_t *frame, uint64_t size,
                                       char *text);

tachyon_frame_error_t use_frame(const tachyon_frame_t *frame, uint64_t size,
                                char *text) {
    tachyon_frame_t copy;
    uint64_t bytes;
    tachyon_frame_error_t error = tachyon_frame_check(frame, size);
    if (error == TACHYON_FRAME_OK)
        error = tachyon_frame_measure(frame, &bytes);
    if (error == TACHYON_FRAME_OK)
        error = tachyon_frame_fill(&copy, frame->code, frame->bits, frame->ndim,
                                   frame->shape, frame->flags, frame->tag, &bytes);
    tachyon_frame_explain(error, frame, size, text, 128);
    return error;
}
