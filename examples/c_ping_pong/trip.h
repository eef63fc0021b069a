/* SPDX-License-Identifier: Apache-2.0 */
/* What goes there and back. */
#ifndef TRIP_H
#define TRIP_H

#include <stdint.h>

typedef struct {
    uint64_t number;
    uint8_t filler[24];
} Trip;

#endif
