/* SPDX-License-Identifier: Apache-2.0 */
/* Part of core.c. */
#include "../../../../core/src/page.c"
