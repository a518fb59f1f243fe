//! The order book, without a service around it: what all three have in common.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Side {
    Buy,
    Sell,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Order {
    pub side: Side,
    pub price: u64,
    pub quantity: u64,
}

/// What waits, as quantities by price, and the value of all trades.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Book {
    pub bids: BTreeMap<u64, u64>,
    pub asks: BTreeMap<u64, u64>,
    pub turnover: u64,
}

impl Book {
    /// Trades against the other side, the best price first; the rest waits. Returns how much was traded. Its bug: the turnover may overflow.
    pub fn place(&mut self, order: Order) -> u64 {
        let mut left = order.quantity;
        while left > 0 {
            let best = match order.side {
                Side::Buy => self.asks.first_entry().filter(|best| *best.key() <= order.price),
                Side::Sell => self.bids.last_entry().filter(|best| *best.key() >= order.price),
            };
            let Some(mut best) = best else { break };
            let traded = left.min(*best.get());
            let value = best.key().checked_mul(traded).expect("the value of a trade overflows");
            self.turnover = self.turnover.checked_add(value).expect("the turnover overflows");
            left -= traded;
            *best.get_mut() -= traded;
            if *best.get() == 0 {
                best.remove();
            }
        }
        let own = if order.side == Side::Buy {
            &mut self.bids
        } else {
            &mut self.asks
        };
        if left > 0 {
            *own.entry(order.price).or_default() += left;
        }
        order.quantity - left
    }
}
