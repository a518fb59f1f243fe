//! Compares the heap with a sorted list, and checks its use of memory.

use super::{KEPT_SLOTS, *};
use proptest::prelude::*;

/// A heap, and the list of items that it should contain.
struct Pair {
    heap: TimerHeap<u64>,
    /// Due time, order of arrival, id; the item is the serial.
    list: Vec<(u64, u64, HeapId)>,
    order: u64,
    serial: u64,
    gone: Vec<HeapId>,
}

impl Pair {
    fn new(order: u64) -> Pair {
        Pair {
            heap: TimerHeap::new(),
            list: Vec::new(),
            order,
            serial: 0,
            gone: Vec::new(),
        }
    }

    fn push(&mut self, due: u64) {
        self.order += 1;
        self.serial += 1;
        let id = self.heap.push(due, self.order, self.serial, self.serial);
        assert_eq!(id.serial(), self.serial);
        self.list.push((due, self.order, id));
    }

    fn pick(&self, n: usize) -> Option<usize> {
        (!self.list.is_empty()).then(|| n % self.list.len())
    }

    fn sort(&mut self) {
        self.list.sort_by_key(|&(due, order, _)| (due, order));
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Push(due) => self.push(due),
            Step::Pop => {
                self.sort();
                let first = (!self.list.is_empty()).then(|| self.list.remove(0));
                assert_eq!(self.heap.pop(), first.map(|(due, _, id)| (due, id, id.serial())));
                self.gone.extend(first.map(|(_, _, id)| id));
            }
            Step::Remove(n) => {
                let Some(n) = self.pick(n) else { return };
                let (due, _, id) = self.list.swap_remove(n);
                assert_eq!(self.heap.remove(id), Some((due, id.serial())));
                self.gone.push(id);
            }
            Step::SetDue(n, due) => {
                let Some(n) = self.pick(n) else { return };
                self.order += 1;
                let entry = &mut self.list[n];
                self.heap.set_due(entry.2.slot, due, self.order);
                if entry.0 != due {
                    (entry.0, entry.1) = (due, self.order);
                }
            }
            Step::DrainWhere(m) => {
                self.sort();
                let drained: Vec<_> = self.list.extract_if(.., |entry| entry.2.serial() % m == 0).collect();
                let expected: Vec<_> = drained.iter().map(|&(due, _, id)| (due, id, id.serial())).collect();
                assert_eq!(self.heap.drain_where(|serial| serial % m == 0), expected);
                self.gone.extend(drained.into_iter().map(|(_, _, id)| id));
            }
            Step::Wait(orders) => self.order += orders,
        }
    }

    fn check(&mut self) {
        self.sort();
        let (heap, list) = (&mut self.heap, &self.list);
        let first = list.first();
        assert_eq!((heap.len(), heap.is_empty()), (list.len(), list.is_empty()));
        assert_eq!(heap.next_due(), first.map_or(u64::MAX, |entry| entry.0));
        assert_eq!(heap.next_key(), first.map(|entry| (entry.0, entry.1)));
        assert_eq!(
            heap.peek().map(|(due, id, _)| (due, id)),
            first.map(|entry| (entry.0, entry.2))
        );
        assert_eq!(
            heap.sorted(),
            list.iter().map(|&(due, _, id)| (due, id)).collect::<Vec<_>>()
        );
        let mut all: Vec<_> = heap.iter().map(|(due, id, &item)| (due, id.serial(), item)).collect();
        all.sort_unstable();
        let mut expected: Vec<_> = list.iter().map(|e| (e.0, e.2.serial(), e.2.serial())).collect();
        expected.sort_unstable();
        assert_eq!(all, expected);
        for &(due, _, id) in list {
            assert_eq!(heap.get(id), Some((due, &id.serial())));
            assert_eq!(heap.item_mut(id.slot), Some(&mut id.serial()));
            assert_eq!(heap.id_in(id.slot), Some(id));
        }
        for &id in &self.gone {
            assert_eq!(heap.get(id), None);
            assert_eq!(heap.remove(id), None);
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Push(u64),
    Pop,
    Remove(usize),
    SetDue(usize, u64),
    DrainWhere(u64),
    Wait(u64),
}

/// Few times, so that there are many equals, and both ends of the scale.
fn time() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..6u64, 4 => 0..1000u64, 1 => Just(u64::MAX)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => time().prop_map(Step::Push),
        4 => Just(Step::Pop),
        4 => any::<usize>().prop_map(Step::Remove),
        6 => (any::<usize>(), time()).prop_map(|(n, due)| Step::SetDue(n, due)),
        1 => (1..7u64).prop_map(Step::DrainWhere),
        1 => (1..u64::from(u32::MAX)).prop_map(Step::Wait),
    ]
}

proptest! {
    /// The sequence is 32 bits of the order, so the wrap is near an order shortly before that.
    #[test]
    fn it_does_what_a_sorted_list_does(
        before in prop_oneof![Just(u64::from(u32::MAX)), 60..200u64],
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut pair = Pair::new(u64::from(u32::MAX) - before);
        for step in steps {
            pair.apply(step);
            pair.check();
        }
        while !pair.heap.is_empty() {
            pair.apply(Step::Pop);
        }
        prop_assert!(pair.list.is_empty());
    }
}

#[test]
fn equals_stay_in_order_of_arrival_when_the_sequence_wraps() {
    let mut pair = Pair::new(u64::from(u32::MAX) - 50);
    for n in 0..100 {
        pair.push(n % 3);
    }
    assert!(pair.heap.base > 0, "the keys were not numbered anew");
    pair.check();
}

#[test]
fn the_same_time_again_keeps_the_place_among_equals() {
    let mut heap = TimerHeap::new();
    let first = heap.push(5, 1, 1, 'a');
    let second = heap.push(5, 2, 2, 'b');
    heap.set_due(first.slot, 5, 3);
    assert_eq!(heap.next_key(), Some((5, 1)));
    heap.set_due(first.slot, 6, 4);
    heap.set_due(first.slot, 5, 5);
    assert_eq!(heap.sorted(), [(5, second), (5, first)]);
}

#[test]
fn a_panic_while_choosing_takes_nothing_out() {
    let mut pair = Pair::new(0);
    (0..50).for_each(|due| pair.push(due));
    let heap = &mut pair.heap;
    let choose = std::panic::AssertUnwindSafe(|| heap.drain_where(|&n| if n == 40 { panic!("no") } else { true }));
    assert!(std::panic::catch_unwind(choose).is_err());
    pair.check();
}

fn capacities<T>(heap: &TimerHeap<T>) -> [usize; 3] {
    [heap.lines.capacity(), heap.links.capacity(), heap.slots.capacity()]
}

#[test]
fn setting_and_cancelling_takes_no_memory() {
    let mut pair = Pair::new(0);
    (0..100).for_each(|due| pair.push(due));
    let heap = &mut pair.heap;
    let before = capacities(heap);
    for n in 101..=1_000_100 {
        let id = heap.push(n % 1000, n, n, n);
        assert!(heap.remove(id).is_some());
    }
    assert_eq!(capacities(heap), before);
    pair.check();
}

#[test]
fn memory_is_given_back_after_a_rush_though_an_item_is_always_there() {
    let mut heap = TimerHeap::new();
    let mut numbers = 1..;
    let mut push = |heap: &mut TimerHeap<()>, due| {
        let n = numbers.next().unwrap();
        heap.push(due, n, n, ());
    };
    for rush in 0..3 {
        // They fall due in another order than that of their slots.
        (0..50_000).for_each(|n| push(&mut heap, rush * 1_000_000 + n * 7919 % 50_000));
        while heap.len() > 1 {
            heap.pop();
        }
        // A timer that is set again whenever it fires.
        for n in 0..50_000 {
            push(&mut heap, rush * 1_000_000 + 500_000 + n);
            heap.pop();
        }
        assert!(capacities(&heap).iter().all(|&items| items <= 2 * KEPT_SLOTS));
    }
}
#[test]
fn ids_name_the_same_items_when_memory_was_given_back() {
    let mut pair = Pair::new(0);
    for few in [40, 0, 7] {
        (0..6000).for_each(|n| pair.push(n * 7919 % 1000));
        pair.list.sort_by_key(|&(_, _, id)| id.slot);
        while pair.list.len() > few {
            let above = pair.list.len() - few;
            pair.apply(Step::Remove(few + above * 13 / 17));
        }
        pair.check();
        (0..2500).for_each(|n| pair.push(n % 100));
        pair.check();
        assert!(pair.heap.slots.len() < 6000, "no memory was given back");
    }
}
