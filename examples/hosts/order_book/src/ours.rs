//! As a POE session under a supervisor. Calls of axum's handlers, and the timer that closes the day, are events in one order.

use crate::book::{Book, Order};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use poe::component::{ChildSpec, Starter, Strategy, Supervisor};
use poe::event::START;
use poe::{CallError, Event, Kernel, KernelHandle, Reply, Session, SessionId};
use std::time::Duration;
use tokio::time::MissedTickBehavior;

const PLACE: Event<Order, u64> = Event::new("place");
const VIEW: Event<(), Book> = Event::new("view");
const CLOSE: Event<()> = Event::new("close");
const DAY: Duration = Duration::from_secs(24 * 3600);

fn start_book(cx: &mut Starter<'_>) -> Result<SessionId, poe::Error> {
    let book = Session::builder(Book::default())
        .on(START, |cx, ()| _ = cx.interval(CLOSE, DAY, MissedTickBehavior::Skip))
        .on(PLACE, |cx, order| Reply(cx.heap.place(order)))
        .on(VIEW, |cx, ()| Reply(cx.heap.clone()))
        .on(CLOSE, |cx, ()| *cx.heap = Book::default());
    cx.create(book)
}

pub fn start(kernel: &Kernel) -> Result<(), poe::Error> {
    let book = ChildSpec::new("book", start_book).alias("book");
    Supervisor::builder(Strategy::OneForOne)
        .child(book)
        .start(kernel)
        .map(drop)
}

pub fn routes(kernel: KernelHandle) -> Router {
    Router::new()
        .route("/orders", post(place))
        .route("/book", get(view))
        .with_state(kernel)
}

fn status<A>(error: CallError<A>) -> StatusCode {
    match error.is_died() {
        true => StatusCode::INTERNAL_SERVER_ERROR,
        false => StatusCode::SERVICE_UNAVAILABLE,
    }
}

async fn place(State(kernel): State<KernelHandle>, Json(order): Json<Order>) -> Result<Json<u64>, StatusCode> {
    let placed = kernel.call("book", PLACE, order).timeout(Duration::from_secs(1)).await;
    placed.map(Json).map_err(status)
}

async fn view(State(kernel): State<KernelHandle>) -> Result<Json<Book>, StatusCode> {
    let view = kernel.call("book", VIEW, ()).timeout(Duration::from_secs(1)).await;
    view.map(Json).map_err(status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::Side::{Buy, Sell};
    use crate::kit::{place, view};

    async fn with(test: impl AsyncFnOnce(Router)) {
        let kernel = poe::testing::kernel(); // virtual time: a day passes at once
        start(&kernel).unwrap();
        let app = routes(kernel.handle());
        let report = kernel.serve_until(test(app), Duration::from_secs(5)).await.unwrap();
        assert!(report.is_clean(), "{report}");
    }

    #[tokio::test(start_paused = true)]
    async fn orders_match_and_the_day_ends() {
        with(async |app| {
            crate::kit::orders_match(&app).await;
            tokio::time::sleep(DAY).await;
            assert_eq!(view(&app).await, Book::default());
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_costs_one_caller_an_error_and_the_next_one_finds_a_new_book() {
        with(async |app| {
            place(&app, Sell, u64::MAX, 2).await;
            assert_eq!(place(&app, Buy, u64::MAX, 2).await.0, StatusCode::INTERNAL_SERVER_ERROR);
            assert_eq!(place(&app, Buy, 7, 1).await.1, Some(0));
        })
        .await;
    }
}
