/* SPDX-License-Identifier: Apache-2.0 */
/* Objects whose memory this module owns. */
%{
#include "object.c"
#include "guard.c"
%}
