/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file order_book.h
 * The calls that client.py makes and server/ answers.
 *
 * This header is their only definition: `python -m tachyon.schema` has written
 * order_book.py and order_book.rs from it.
 *
 *     request              reply
 *     OrderBookLook    1   OrderBookSnapshot   4
 *     OrderBookAdd     2   OrderBookOrder      5
 *     OrderBookCancel  3   ORDER_BOOK_DONE     6, empty
 *
 * The numbers are their msg_types. What cannot be done is answered with ORDER_BOOK_ERROR:
 * the request's msg_type, 2 bytes big-endian, then the cause as UTF-8 text.
 */
#ifndef ORDER_BOOK_H
#define ORDER_BOOK_H

#include <stdint.h>

/** The msg_types of replies that are no struct. */
#define ORDER_BOOK_DONE 6
#define ORDER_BOOK_ERROR 0xFFFF

typedef enum { ORDER_BOOK_BID = 1, ORDER_BOOK_ASK = 2 } OrderBookSide;

/** Levels of a snapshot on each side. */
#define ORDER_BOOK_DEPTH 5

/** What is offered at one price. */
typedef struct {
    double price;
    double quantity; /**< sum over the orders; 0: no such level */
} OrderBookLevel;

/** Asks for the best levels of one book. */
typedef struct {
    char symbol[8]; /**< 1 to 8 ASCII characters, filled up with zeros; so below */
} OrderBookLook;

/** A limit order. One that would trade at once is refused. */
typedef struct {
    char symbol[8];
    double price;    /**< positive and finite */
    double quantity; /**< the same */
    OrderBookSide side;
} OrderBookAdd;

typedef struct {
    uint64_t order_id;
} OrderBookCancel;

/** The best levels of one book. */
typedef struct {
    char symbol[8];
    uint64_t sequence;                     /**< changes of this book so far */
    OrderBookLevel bids[ORDER_BOOK_DEPTH]; /**< falling prices */
    OrderBookLevel asks[ORDER_BOOK_DEPTH]; /**< rising prices */
} OrderBookSnapshot;

/** An order that rests now. */
typedef struct {
    uint64_t order_id; /**< from 1, grows by 1 */
} OrderBookOrder;

#endif
