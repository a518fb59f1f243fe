//! Random records with every shape that serde has.

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Thing {
    Scalar(String),
    Package(Vec<i64>),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) flag: bool,
    pub(crate) small: i8,
    pub(crate) integer: i64,
    pub(crate) big: u64,
    pub(crate) float: f64,
    pub(crate) narrow: f32,
    pub(crate) letter: char,
    pub(crate) text: String,
    pub(crate) maybe: Option<i32>,
    pub(crate) list: Vec<Thing>,
    pub(crate) map: BTreeMap<String, (u8, String)>,
    pub(crate) numbers: BTreeMap<i32, Unit>,
    pub(crate) deep: Vec<Vec<Option<String>>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Unit {
    One,
    Two(String),
    Three { a: i32, eb: Option<bool> },
    Four(u8, u8),
}

fn float() -> impl Strategy<Value = f64> {
    // −0.0 comes back as 0, which is equal to it.
    prop_oneof![
        proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL | proptest::num::f64::ZERO,
        (-1000_i32..1000).prop_map(|n| f64::from(n) / 8.0),
    ]
}

fn thing() -> impl Strategy<Value = Thing> {
    prop_oneof![
        any::<String>().prop_map(Thing::Scalar),
        prop::collection::vec(any::<i64>(), 0..5).prop_map(Thing::Package),
    ]
}

fn unit() -> impl Strategy<Value = Unit> {
    prop_oneof![
        Just(Unit::One),
        any::<String>().prop_map(Unit::Two),
        (any::<i32>(), any::<Option<bool>>()).prop_map(|(a, eb)| Unit::Three { a, eb }),
        (any::<u8>(), any::<u8>()).prop_map(|(a, b)| Unit::Four(a, b)),
    ]
}

pub(crate) fn record() -> impl Strategy<Value = Record> {
    let scalars = (any::<bool>(), any::<i8>(), any::<i64>(), any::<u64>(), float());
    let narrow = proptest::num::f32::NORMAL | proptest::num::f32::ZERO;
    let strings = (narrow, any::<char>(), any::<String>(), any::<Option<i32>>());
    let word = "[a-z\u{e0}-\u{ff}\u{263a}]{0,4}";
    let containers = (
        prop::collection::vec(thing(), 0..4),
        prop::collection::btree_map(word, (any::<u8>(), any::<String>()), 0..4),
        prop::collection::btree_map(any::<i32>(), unit(), 0..4),
        prop::collection::vec(prop::collection::vec(any::<Option<String>>(), 0..3), 0..3),
    );
    (scalars, strings, containers).prop_map(|(a, b, c)| Record {
        flag: a.0,
        small: a.1,
        integer: a.2,
        big: a.3,
        float: a.4,
        narrow: b.0,
        letter: b.1,
        text: b.2,
        maybe: b.3,
        list: c.0,
        map: c.1,
        numbers: c.2,
        deep: c.3,
    })
}
