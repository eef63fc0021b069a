/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file order_book.h
 * The calls that client.py makes and server/ answers.
 *
 * This header is their only definition: Rust has its structs from bindgen, and a test
 * compares Python's `struct` formats with what SWIG and the C compiler make of them.
 *
 *     msg_type              request                    reply, with the same msg_type
 *     ORDER_BOOK_SNAPSHOT   OrderBookSnapshotRequest   OrderBookSnapshot
 *     ORDER_BOOK_ADD        OrderBookAdd               OrderBookOrder
 *     ORDER_BOOK_CANCEL     OrderBookOrder             empty
 *
 * What cannot be done is answered with msg_type ORDER_BOOK_ERROR: the request's
 * msg_type, 2 bytes big-endian, then the cause as UTF-8 text. Everything else is
 * little-endian, and a multiple of 8 bytes without gaps.
 */
#ifndef ORDER_BOOK_H
#define ORDER_BOOK_H

#include <stdint.h>

/** The msg_type of a call. */
typedef enum {
    ORDER_BOOK_SNAPSHOT = 1,
    ORDER_BOOK_ADD = 2,
    ORDER_BOOK_CANCEL = 3,
    ORDER_BOOK_ERROR = 0xFFFF
} OrderBookMessage;

typedef enum { ORDER_BOOK_BID = 1, ORDER_BOOK_ASK = 2 } OrderBookSide;

/** Levels of a snapshot on each side. */
#define ORDER_BOOK_DEPTH 5

/** What is offered at one price. */
typedef struct {
    double price;
    double quantity; /**< sum over the orders; 0: no such level */
} OrderBookLevel;

/** The best levels of one book: 176 bytes. */
typedef struct {
    uint8_t symbol[8];                     /**< at 0: filled up with zeros */
    uint64_t sequence;                     /**< at 8: changes of this book so far */
    OrderBookLevel bids[ORDER_BOOK_DEPTH]; /**< at 16: falling prices */
    OrderBookLevel asks[ORDER_BOOK_DEPTH]; /**< at 96: rising prices */
} OrderBookSnapshot;

typedef struct {
    uint8_t symbol[8];
} OrderBookSnapshotRequest;

/** A limit order: 32 bytes. One that would trade at once is refused. */
typedef struct {
    uint8_t symbol[8];  /**< at 0: 1 to 8 ASCII characters, filled up with zeros */
    double price;       /**< at 8: positive and finite */
    double quantity;    /**< at 16: the same */
    uint32_t side;      /**< at 24: an OrderBookSide */
    uint8_t padding[4]; /**< at 28: zero */
} OrderBookAdd;

typedef struct {
    uint64_t order_id; /**< from 1, grows by 1 */
} OrderBookOrder;

#endif
