/* SPDX-License-Identifier: Apache-2.0 */
/* send_batch() and recv_batch_into(): methods of BusBase, in one place. */
%{
#include "batch.c"
%}

%init %{
    if (batch_module_init() < 0) {
        return -1;
    }
%}
