/* SPDX-License-Identifier: Apache-2.0 */
/* SWIG's view of market_tick.h, for test_market_tick.py: its fields where the C compiler
   puts them, its constants, its size, and memmove() to fill it with raw bytes. */
%module market_tick_abi

%{
#include "market_tick.h"
%}

%include <stdint.i>
%include <cdata.i>

%typemap(out) uint8_t[ANY] "$result = PyBytes_FromStringAndSize((char *)$1, $1_dim0);"

%include "market_tick.h"

%constant size_t MARKET_TICK_SIZE = sizeof(MarketTick);
