/* SPDX-License-Identifier: Apache-2.0 */
/* The Python module tachyon._native. Each noun has a .i, SWIG's view of it, and where
   Python wants more than SWIG gives (the buffer protocol, vectorcall arguments, waiting
   without the GIL) a .c beside it. */

%nodefaultctor;

%{
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <structmember.h>
%}

%include "module.i"
%include "errors.i"
%include "arguments.i"
%include "buffer.i"
%include "object.i"
%include "tachyon_bus.i"
%include "tx_guard.i"
%include "rx_guard.i"
%include "rx_batch.i"
%include "batch.i"
%include "bus.i"
%include "channel.i"
%include "tachyon_rpc_bus.i"
%include "rpc_tx_guard.i"
%include "rpc_rx_guard.i"
%include "rpc_bus.i"

/* Functions on raw handles could crash the interpreter; the types above take their
   place. Constants, enumerators and plain structs come as they are. */
%rename("$ignore", regextarget=1, %$isfunction) "^tachyon_";
%rename("%s") tachyon_version;
%rename("%s") tachyon_strerror;
%ignore tachyon_bus;
%ignore tachyon_bus_t;
%ignore tachyon_opening;
%ignore tachyon_opening_t;
%ignore tachyon_options;
%ignore tachyon_msg_view_t;
%ignore tachyon_rpc_bus;
%ignore tachyon_rpc_bus_t;
%immutable;
