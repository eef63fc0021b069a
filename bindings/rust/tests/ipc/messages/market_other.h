/* SPDX-License-Identifier: Apache-2.0 */
/* Another market.h, whose quantities are wider. */
#define QUANTITY uint64_t
#include "market.h"
