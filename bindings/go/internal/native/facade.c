/* SPDX-License-Identifier: Apache-2.0 */
/* The facade; see core.c. */
#include "../../../../swig/end.c"
#include "../../../../swig/facade.c"
