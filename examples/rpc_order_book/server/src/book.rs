// SPDX-License-Identifier: Apache-2.0
//! The books: resting limit orders by symbol, side and price.

use std::collections::{BTreeMap, HashMap};

use crate::order_book::{
    OrderBookAdd, OrderBookLevel, OrderBookSide, OrderBookSnapshot, ORDER_BOOK_DEPTH,
};

const BID: OrderBookSide = OrderBookSide::ORDER_BOOK_BID;
const ASK: OrderBookSide = OrderBookSide::ORDER_BOOK_ASK;
const DEPTH: usize = ORDER_BOOK_DEPTH as usize;

type Symbol = [u8; 8];
/// The bits of a positive price, which are in the order of the prices.
type Price = u64;
/// Quantity by order id.
type Level = BTreeMap<u64, f64>;

#[derive(Default)]
struct Book {
    sequence: u64,
    bids: BTreeMap<Price, Level>,
    asks: BTreeMap<Price, Level>,
}

/// Where an order rests.
struct Place {
    symbol: Symbol,
    side: OrderBookSide,
    price: Price,
}

#[derive(Default)]
pub struct Market {
    books: HashMap<Symbol, Book>,
    orders: HashMap<u64, Place>,
    last_order_id: u64,
}

impl Market {
    /// Returns the order's id.
    pub fn add(&mut self, order: &OrderBookAdd) -> Result<u64, String> {
        let name = name_of(&order.symbol)?;
        for (what, value) in [("price", order.price), ("quantity", order.quantity)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(format!("the {what} {value} is not a positive number"));
            }
        }
        if ![BID, ASK].contains(&order.side) {
            return Err(format!("the side {:?} is neither bid nor ask", order.side));
        }
        let price = order.price.to_bits();
        if let Some(best) = self
            .books
            .get(&order.symbol)
            .and_then(|book| match order.side {
                BID => book.asks.keys().next().filter(|&&ask| ask <= price),
                _ => book.bids.keys().next_back().filter(|&&bid| bid >= price),
            })
        {
            return Err(format!(
                "an order at {} would trade at once: the other side of {name} stands at {}",
                order.price,
                f64::from_bits(*best)
            ));
        }

        self.last_order_id += 1;
        let order_id = self.last_order_id;
        let book = self.books.entry(order.symbol).or_default();
        book.sequence += 1;
        let level = book.side(order.side).entry(price).or_default();
        level.insert(order_id, order.quantity);
        let place = Place {
            symbol: order.symbol,
            side: order.side,
            price,
        };
        self.orders.insert(order_id, place);
        Ok(order_id)
    }

    pub fn cancel(&mut self, order_id: u64) -> Result<(), String> {
        let place = self
            .orders
            .remove(&order_id)
            .ok_or_else(|| format!("there is no order {order_id}"))?;
        let book = self.books.get_mut(&place.symbol).expect("its book");
        book.sequence += 1;
        let side = book.side(place.side);
        let level = side.get_mut(&place.price).expect("its level");
        level.remove(&order_id);
        if level.is_empty() {
            side.remove(&place.price);
        }
        Ok(())
    }

    pub fn snapshot(&self, symbol: &Symbol) -> Result<OrderBookSnapshot, String> {
        let name = name_of(symbol)?;
        let book = self
            .books
            .get(symbol)
            .ok_or_else(|| format!("there is no book of {name}"))?;
        Ok(OrderBookSnapshot {
            symbol: *symbol,
            sequence: book.sequence,
            bids: best(book.bids.iter().rev()),
            asks: best(book.asks.iter()),
        })
    }
}

impl Book {
    fn side(&mut self, side: OrderBookSide) -> &mut BTreeMap<Price, Level> {
        match side {
            BID => &mut self.bids,
            _ => &mut self.asks,
        }
    }
}

fn name_of(symbol: &Symbol) -> Result<&str, String> {
    symbol_text(symbol).ok_or_else(|| format!("{symbol:?} is not a symbol"))
}

/// The symbol without the zeros that fill it up; None for one that is not allowed.
fn symbol_text(symbol: &Symbol) -> Option<&str> {
    let length = symbol.iter().position(|&byte| byte == 0).unwrap_or(8);
    let (text, filling) = symbol.split_at(length);
    let good = !text.is_empty()
        && text.iter().all(u8::is_ascii_graphic)
        && filling.iter().all(|&byte| byte == 0);
    good.then(|| std::str::from_utf8(text).expect("ASCII"))
}

fn best<'a>(levels: impl Iterator<Item = (&'a Price, &'a Level)>) -> [OrderBookLevel; DEPTH] {
    let mut best = [OrderBookLevel::ZERO; DEPTH];
    for (place, (price, level)) in best.iter_mut().zip(levels) {
        place.price = f64::from_bits(*price);
        place.quantity = level.values().sum();
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_is_one_to_eight_visible_characters() {
        assert_eq!(symbol_text(b"IBM\0\0\0\0\0"), Some("IBM"));
        assert_eq!(symbol_text(b"ABCDEFGH"), Some("ABCDEFGH"));
        for bad in [b"\0\0\0\0\0\0\0\0", b"A\0B\0\0\0\0\0", b"A B\0\0\0\0\0"] {
            assert_eq!(symbol_text(bad), None);
        }
    }
}
