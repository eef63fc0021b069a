/* tachyon.schema 1, tickets.h a5d83e91c150bbdc: written by python -m tachyon.schema */
/* clang-format off */
#ifndef TACHYON_TICKETS_TYPES_H
#define TACHYON_TICKETS_TYPES_H

#include "tickets.h"
#include <stddef.h>
#include <stdint.h>

/** What tachyon_options_t has of the messages. */
#define TICKETS_TYPES \
    "tachyon-types 1 little\n" \
    "message 1 Ticket\n" \
    " number u64 @0\n" \
    " ticket u64 @8\n" \
    " = 16 align 8\n"
#define TICKETS_TYPES_SIZE 84
#define TICKETS_FINGERPRINT UINT64_C(0x6a920d2ad5956fd8)

#define Ticket_TYPE 1u

/* The layout is what the description says, and no other compiler's. */
#ifdef __cplusplus
#define TACHYON_TICKETS_ASSERT(holds, what) static_assert(holds, what)
#define TACHYON_TICKETS_ALIGNOF(type) alignof(type)
#else
#define TACHYON_TICKETS_ASSERT(holds, what) _Static_assert(holds, what)
#define TACHYON_TICKETS_ALIGNOF(type) _Alignof(type)
#endif

TACHYON_TICKETS_ASSERT(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "byte order");
TACHYON_TICKETS_ASSERT(sizeof(Ticket) == 16 && TACHYON_TICKETS_ALIGNOF(Ticket) == 8, "Ticket");
TACHYON_TICKETS_ASSERT(offsetof(Ticket, number) == 0 && sizeof(((Ticket *)0)->number) == 8, "Ticket.number");
TACHYON_TICKETS_ASSERT(offsetof(Ticket, ticket) == 8 && sizeof(((Ticket *)0)->ticket) == 8, "Ticket.ticket");
#undef TACHYON_TICKETS_ASSERT
#undef TACHYON_TICKETS_ALIGNOF

/** The Ticket in a payload, where it lies; NULL unless type_id and size are those of
 * Ticket. */
static inline const Ticket *Ticket_of(const void *payload, uint32_t type_id,
                                      size_t size)
{
    return payload && type_id == Ticket_TYPE && size == sizeof(Ticket)
               ? (const Ticket *)payload
               : NULL;
}

#endif
