/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NUMBER_H
#define NUMBER_H

#include <stdint.h>

typedef struct {
    uint64_t value;
} Number;

#endif
