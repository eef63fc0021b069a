/* SPDX-License-Identifier: Apache-2.0 */
/* Version 3 of market.h. */
#define NEXT
#include "market.h"
