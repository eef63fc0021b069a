/* SPDX-License-Identifier: Apache-2.0 */
/* The one call of the ticket office, and its reply. Any other is answered with
   TICKET_ERROR and two bytes: the type of the request, the higher first. */
#ifndef TICKETS_H
#define TICKETS_H

#include <stdint.h>

#define TICKET_ERROR 0xFFFF

typedef struct {
    uint64_t number; /* of the client's call, from 0 */
    uint64_t ticket; /* from 1, another one for each call of any client; 0: asked for */
} Ticket;

#endif
