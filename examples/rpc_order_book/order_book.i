/* SPDX-License-Identifier: Apache-2.0 */
/* SWIG's view of order_book.h, for test_order_book_abi.py: its fields where the C compiler
   puts them, its constants, the sizes, and memmove() to fill structs with raw bytes. */
%module order_book_abi

%{
#include "order_book.h"
%}

%include <stdint.i>
%include <cdata.i>

%typemap(out) uint8_t[ANY] "$result = PyBytes_FromStringAndSize((char *)$1, $1_dim0);"

%include "order_book.h"

%constant size_t SNAPSHOT_SIZE = sizeof(OrderBookSnapshot);
%constant size_t REQUEST_SIZE = sizeof(OrderBookSnapshotRequest);
%constant size_t ADD_SIZE = sizeof(OrderBookAdd);
%constant size_t ORDER_SIZE = sizeof(OrderBookOrder);

/* An array of structs is a pointer to SWIG. */
%inline %{
static OrderBookLevel *level_at(OrderBookLevel *levels, int i) { return levels + i; }
%}
