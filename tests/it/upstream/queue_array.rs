//! `t/10_units/06_queues/01_array.t`: the same facts of the public queue, and then by what a session sees of the kernel's
//! own: its timers, where priorities are milliseconds.

use crate::laws_kit::*;
use poe::event::DEFAULT;
use poe::queue::{Item, ItemId, PriorityQueue, Queue, QueueError};
use poe::{Session, TimerId};
use std::cell::Cell;
use std::rc::Rc;

/// What the test reads of a record: priority and payload. (Other tests of the process take item IDs meanwhile.)
fn record<T: Copy>(item: &Item<T>) -> (f64, T) {
    (item.priority, item.payload)
}

fn records<T: Copy>(items: &[Item<T>]) -> Vec<(f64, T)> {
    items.iter().map(record).collect()
}

fn filled(events: &[(f64, char)]) -> (PriorityQueue<char>, Vec<ItemId>) {
    let mut queue = PriorityQueue::new();
    let ids = events.iter().map(|(at, event)| queue.enqueue(*at, *event)).collect();
    (queue, ids)
}

fn always(_: &char) -> bool {
    true
}

fn odd(event: &char) -> bool {
    "ace".contains(*event)
}

fn even(event: &char) -> bool {
    "bdf".contains(*event)
}

const SIX: [(f64, char); 6] = [(1.0, 'a'), (3.0, 'c'), (5.0, 'e'), (2.0, 'b'), (4.0, 'd'), (6.0, 'f')];

#[test]
fn a_queue_begins_empty_and_dequeues_by_priority() {
    let mut queue = PriorityQueue::new();
    assert_eq!((queue.get_item_count(), queue.get_next_priority()), (0, None));
    assert_eq!(queue.dequeue_next(), None);
    let ids = [(1.0, "one"), (3.0, "tre"), (2.0, "two")].map(|(at, event)| queue.enqueue(at, event));
    assert!(0 < ids[0].get() && ids[0] < ids[1] && ids[1] < ids[2], "{ids:?}");
    for (priority, id, payload) in [(1.0, ids[0], "one"), (2.0, ids[2], "two"), (3.0, ids[1], "tre")] {
        assert_eq!(queue.get_next_priority(), Some(priority));
        let item = Item { priority, id, payload };
        assert_eq!(queue.dequeue_next(), Some(item));
    }
    assert_eq!(queue.dequeue_next(), None);
}

#[test]
fn ids_are_of_one_count_over_all_queues() {
    let (mut one, mut other) = (PriorityQueue::new(), PriorityQueue::new());
    let first = one.enqueue(1.0, 'a');
    let second = other.enqueue(1.0, 'b');
    assert!(first < second);
    assert_eq!(other.remove_item(first, always), Err(QueueError::NoSuchItem(first)));
    assert_eq!(one.get_item_count(), 1);
}

#[test]
fn an_item_is_removed_by_its_id_if_the_filter_agrees() {
    let (mut queue, ids) = filled(&SIX[..5]);
    for (at, wanted) in [(3, (2.0, 'b')), (1, (3.0, 'c')), (4, (4.0, 'd'))] {
        let removed = queue.remove_item(ids[at], always).unwrap();
        assert_eq!((removed.id, record(&removed)), (ids[at], wanted));
    }
    assert_eq!(
        queue.remove_item(ids[2], |_| false),
        Err(QueueError::NotPermitted(ids[2]))
    );
    assert_eq!(queue.remove_item(ids[4], always), Err(QueueError::NoSuchItem(ids[4])));
    let left: Vec<_> = std::iter::from_fn(|| queue.dequeue_next()).collect();
    assert_eq!(records(&left), [(1.0, 'a'), (5.0, 'e')]);
}

#[test]
fn items_are_removed_and_looked_at_by_a_filter_in_the_queues_order() {
    let (mut queue, ids) = filled(&SIX);
    assert_eq!(queue.get_item_count(), 6);
    let seen = queue.peek_items(even, None);
    let seen: Vec<_> = seen
        .iter()
        .map(|item| (item.priority, item.id, *item.payload))
        .collect();
    assert_eq!(seen, [(2.0, ids[3], 'b'), (4.0, ids[4], 'd'), (6.0, ids[5], 'f')]);
    assert_eq!(queue.peek_items(always, Some(2)).len(), 2);
    assert_eq!(queue.get_item_count(), 6, "looking takes nothing");
    let removed = queue.remove_items(odd, Some(3));
    assert_eq!(records(&removed), [(1.0, 'a'), (3.0, 'c'), (5.0, 'e')]);
    assert_eq!(queue.get_item_count(), 3);
    assert!(queue.remove_items(odd, Some(3)).is_empty());
    let removed = queue.remove_items(even, Some(2));
    assert_eq!(
        records(&removed),
        [(2.0, 'b'), (4.0, 'd')],
        "no more than were asked for"
    );
    assert_eq!(records(&queue.remove_items(even, None)), [(6.0, 'f')]);
    assert_eq!(queue.get_item_count(), 0);
}

#[test]
fn adjusted_items_go_behind_their_equals_and_by_zero_they_stay() {
    let tens = [10.0, 20.0, 30.0, 40.0, 50.0, 60.0];
    let events: Vec<_> = tens.into_iter().zip('a'..).collect();
    let (mut queue, ids) = filled(&events);
    assert_eq!(queue.adjust_priority(ids[4], always, -15.0), Ok(35.0));
    assert_eq!(queue.adjust_priority(ids[1], always, 15.0), Ok(35.0));
    assert_eq!(queue.adjust_priority(ids[4], always, 0.0), Ok(35.0));
    let removed = queue.remove_items(always, None);
    let wanted = [
        (10.0, 'a'),
        (30.0, 'c'),
        (35.0, 'e'),
        (35.0, 'b'),
        (40.0, 'd'),
        (60.0, 'f'),
    ];
    assert_eq!(records(&removed), wanted);
    assert_eq!(queue.get_item_count(), 0);
}

#[test]
fn moves_are_refused_as_removals_are_and_to_the_same_priority_nobody_is_asked() {
    let (mut queue, ids) = filled(&SIX[..2]);
    let refused = Err(QueueError::NotPermitted(ids[0]));
    assert_eq!(queue.adjust_priority(ids[0], |_| false, 9.0), refused);
    assert_eq!(queue.adjust_priority(ids[0], |_| false, 0.0), refused);
    assert_eq!(queue.set_priority(ids[0], |_| false, 9.0), refused);
    assert_eq!(queue.set_priority(ids[0], |_| panic!("asked"), 1.0), Ok(1.0));
    queue.dequeue_next();
    let gone = QueueError::NoSuchItem(ids[0]);
    assert_eq!(queue.adjust_priority(ids[0], always, 1.0), Err(gone));
    assert_eq!(queue.set_priority(ids[0], always, 1.0), Err(gone));
    let text = format!("the queue has no item {}", ids[0].get());
    assert_eq!(gone.to_string(), text);
}

/// A thousand in no order, moved in two halves; they must come out in order, each as far from its payload as asked.
fn thousand_of_the_queue(moves: impl Fn(&mut PriorityQueue<i32>, ItemId, i32, &dyn Fn(&i32) -> bool), shift: i32) {
    let mut queue = PriorityQueue::new();
    let shuffled: Vec<i32> = (0..1000).map(|n| n * 387 % 1000).collect();
    let ids: Vec<_> = shuffled
        .iter()
        .map(|n| (queue.enqueue(f64::from(*n), *n), *n))
        .collect();
    for half in [0, 1] {
        for (id, n) in &ids {
            moves(&mut queue, *id, *n, &|payload| payload % 2 == half);
        }
    }
    let mut last = f64::NEG_INFINITY;
    let mut count = 0;
    while let Some(item) = queue.dequeue_next() {
        let away = item.priority - f64::from(item.payload);
        let wanted = if shift < 0 && item.payload % 2 == 1 {
            -shift
        } else {
            shift
        };
        assert_eq!(away, f64::from(wanted));
        assert!(item.priority > last);
        (last, count) = (item.priority, count + 1);
    }
    assert_eq!(count, 1000);
}

#[test]
fn a_large_queue_keeps_its_order_when_items_are_adjusted_both_ways() {
    let adjust = |queue: &mut PriorityQueue<i32>, id, n, filter: &dyn Fn(&i32) -> bool| {
        let delta = if n % 2 == 0 { -1000.0 } else { 1000.0 };
        let moved = queue.adjust_priority(id, filter, delta);
        assert!(moved == Ok(f64::from(n) + delta) || moved == Err(QueueError::NotPermitted(id)));
    };
    thousand_of_the_queue(adjust, -1000);
}

#[test]
fn a_large_queue_keeps_its_order_when_items_are_set_anew() {
    let set = |queue: &mut PriorityQueue<i32>, id, n, filter: &dyn Fn(&i32) -> bool| {
        let _ = queue.set_priority(id, filter, f64::from(n + 500));
    };
    thousand_of_the_queue(set, 500);
}

/// A queue of another kind: the trait serves what is generic over queues.
#[test]
fn a_queue_of_ones_own_is_used_as_any() {
    #[derive(Default)]
    struct Sorted(Vec<Item<char>>);

    impl Sorted {
        fn at(&self, id: ItemId) -> Result<usize, QueueError> {
            let at = self.0.iter().position(|item| item.id == id);
            at.ok_or(QueueError::NoSuchItem(id))
        }

        fn put(&mut self, item: Item<char>) {
            let at = self.0.partition_point(|other| other.priority <= item.priority);
            self.0.insert(at, item);
        }
    }

    impl Queue<char> for Sorted {
        fn enqueue(&mut self, priority: f64, payload: char) -> ItemId {
            let id = ItemId::fresh();
            self.put(Item { priority, id, payload });
            id
        }
        fn dequeue_next(&mut self) -> Option<Item<char>> {
            (!self.0.is_empty()).then(|| self.0.remove(0))
        }
        fn get_next_priority(&self) -> Option<f64> {
            self.0.first().map(|item| item.priority)
        }
        fn get_item_count(&self) -> usize {
            self.0.len()
        }
        fn remove_item(&mut self, id: ItemId, filter: impl FnOnce(&char) -> bool) -> Result<Item<char>, QueueError> {
            let at = self.at(id)?;
            match filter(&self.0[at].payload) {
                true => Ok(self.0.remove(at)),
                false => Err(QueueError::NotPermitted(id)),
            }
        }
        fn remove_items(&mut self, mut filter: impl FnMut(&char) -> bool, max: Option<usize>) -> Vec<Item<char>> {
            let max = max.unwrap_or(usize::MAX);
            let mut removed = Vec::new();
            self.0.retain(|item| {
                let goes = removed.len() < max && filter(&item.payload);
                removed.extend(goes.then_some(*item));
                !goes
            });
            removed
        }
        fn peek_items(&self, mut filter: impl FnMut(&char) -> bool, max: Option<usize>) -> Vec<Item<&char>> {
            let all = self.0.iter().filter(|item| filter(&item.payload));
            all.take(max.unwrap_or(usize::MAX))
                .map(|Item { priority, id, payload }| Item {
                    priority: *priority,
                    id: *id,
                    payload,
                })
                .collect()
        }
        fn adjust_priority(
            &mut self,
            id: ItemId,
            filter: impl FnOnce(&char) -> bool,
            delta: f64,
        ) -> Result<f64, QueueError> {
            let priority = self.0[self.at(id)?].priority + delta;
            self.set_priority(id, filter, priority)
        }
        fn set_priority(
            &mut self,
            id: ItemId,
            filter: impl FnOnce(&char) -> bool,
            priority: f64,
        ) -> Result<f64, QueueError> {
            if self.0[self.at(id)?].priority != priority {
                let item = self.remove_item(id, filter)?;
                self.put(Item { priority, ..item });
            }
            Ok(priority)
        }
    }

    /// The same moves on any queue.
    fn letters(queue: &mut impl Queue<char>) -> String {
        let ids: Vec<_> = SIX.iter().map(|(at, event)| queue.enqueue(*at, *event)).collect();
        queue.set_priority(ids[0], always, 9.0).unwrap();
        queue.adjust_priority(ids[5], always, -3.0).unwrap();
        queue.remove_item(ids[2], always).unwrap();
        assert!(queue.set_priority(ids[2], always, 1.0).is_err());
        let seen: String = queue.peek_items(even, None).iter().map(|item| item.payload).collect();
        let head: Vec<_> = queue.remove_items(odd, Some(1));
        let rest: String = std::iter::from_fn(|| queue.dequeue_next())
            .map(|item| item.payload)
            .collect();
        format!("{seen} {} {rest}", head[0].payload)
    }
    let ours = letters(&mut PriorityQueue::new());
    assert_eq!(ours, "bfd c bfda");
    assert_eq!(letters(&mut Sorted::default()), ours);
}

fn sets(cx: &Cx<'_>, events: &[(&'static str, u64)]) -> Vec<TimerId> {
    events
        .iter()
        .map(|(name, at)| cx.delay_set(*name, ms(*at), ()))
        .collect()
}

fn names(alarms: &[poe::Timer]) -> Vec<String> {
    alarms.iter().map(|a| a.event.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn it_dequeues_by_priority_and_numbers_go_on() {
    let kernel = kernel();
    echo(|cx| {
        let ids = sets(cx, &[("one", 1), ("tre", 3), ("two", 2)]);
        let serials: Vec<u64> = ids.iter().map(|id| id.get()).collect();
        assert_eq!(serials, [1, 2, 3]);
        assert_eq!(cx.event_count(), 3);
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["one", "two", "tre"]);
}

#[tokio::test(start_paused = true)]
async fn items_are_removed_by_id_by_their_owner_alone_and_once() {
    let kernel = kernel();
    let of_another = Rc::new(Cell::new(None));
    let put = of_another.clone();
    echo(move |cx| put.set(Some(cx.delay_set("e", ms(5), ()))))
        .create(&kernel)
        .unwrap();
    echo(move |cx| {
        let ids = sets(cx, &[("a", 1), ("c", 3), ("b", 2), ("d", 4)]);
        for (id, name) in [(2, "b"), (1, "c"), (3, "d")] {
            assert_eq!(cx.alarm_remove(ids[id]).unwrap().event, *name);
        }
        assert!(
            cx.alarm_remove(of_another.get().unwrap())
                .unwrap_err()
                .is_not_permitted()
        );
        assert!(cx.alarm_remove(ids[3]).unwrap_err().is_no_such_timer());
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["a", "e"]);
}

#[tokio::test(start_paused = true)]
async fn items_that_come_to_one_priority_are_first_in_first_out() {
    let kernel = kernel();
    echo(|cx| {
        let ids = sets(cx, &[("a", 10), ("b", 20), ("c", 30), ("d", 40), ("e", 50), ("f", 60)]);
        cx.alarm_adjust(ids[4], -0.015).unwrap();
        cx.alarm_adjust(ids[1], 0.015).unwrap();
        // `e` got there first, `b` second.
        assert_eq!(names(&cx.alarm_remove_all()), ["a", "c", "e", "b", "d", "f"]);
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
}

/// A thousand in no order, all moved, half of them each way first.
async fn thousand(moves: impl Fn(&Cx<'_>, TimerId, u64) + 'static, shift: i64) {
    let kernel = kernel();
    let began = tokio::time::Instant::now();
    Session::builder(())
        .on(poe::event::START, move |cx, ()| {
            let shuffled = (0..1000_u64).map(|n| 2000 + n * 387 % 1000);
            let ids: Vec<_> = shuffled.map(|at| (cx.delay_set("item", ms(at), at), at)).collect();
            for odd in [0, 1] {
                for (id, at) in ids.iter().filter(|(_, at)| at % 2 == odd) {
                    moves(cx, *id, *at);
                }
            }
        })
        .on("item", move |_, at: u64| {
            let due = ms(at.saturating_add_signed(shift));
            let took = began.elapsed();
            assert!(took >= due && took < due + ms(2), "{at}: {took:?}");
            say(at);
        })
        .on(DEFAULT, |_, _| ())
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), (2000..3000).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_thousand_items_keep_their_order_when_all_are_adjusted() {
    thousand(
        |cx, id, _| {
            cx.alarm_adjust(id, -1.0).unwrap();
        },
        -1000,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_items_keep_their_order_when_all_are_set_anew() {
    thousand(
        |cx, id, at| {
            cx.delay_adjust(id, ms(at + 500)).unwrap();
        },
        500,
    )
    .await;
}
