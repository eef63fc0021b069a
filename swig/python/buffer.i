/* SPDX-License-Identifier: Apache-2.0 */
/* What is sent: the buffers of other objects. */
%{
#include "buffer.c"
%}
