//! As a Tokio task with a channel: a message type, a loop, a oneshot for each reply.

use crate::book::{Book, Order};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, interval_at, timeout};

const DAY: Duration = Duration::from_secs(24 * 3600);

pub enum Message {
    Place(Order, oneshot::Sender<u64>),
    View(oneshot::Sender<Book>),
}

pub type Handle = mpsc::Sender<Message>;

pub fn start() -> Handle {
    let (handle, mut inbox) = mpsc::channel(1024);
    tokio::spawn(async move {
        let mut book = Book::default();
        let mut close = interval_at(Instant::now() + DAY, DAY);
        loop {
            tokio::select! {
                message = inbox.recv() => match message {
                    // Nobody waits any more if the reply cannot be sent.
                    Some(Message::Place(order, reply)) => drop(reply.send(book.place(order))),
                    Some(Message::View(reply)) => drop(reply.send(book.clone())),
                    None => return,
                },
                _ = close.tick() => book = Book::default(),
            }
        }
    });
    handle
}

pub fn routes(book: Handle) -> Router {
    Router::new()
        .route("/orders", post(place))
        .route("/book", get(view))
        .with_state(book)
}

/// Sends a question, and waits for the reply.
async fn ask<T>(book: &Handle, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Result<T, StatusCode> {
    let (reply, replied) = oneshot::channel();
    let asked = async {
        book.send(message(reply))
            .await
            .map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?; // the task is gone
        replied.await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR) // it panicked with our message
    };
    timeout(Duration::from_secs(1), asked)
        .await
        .map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?
}

async fn place(State(book): State<Handle>, Json(order): Json<Order>) -> Result<Json<u64>, StatusCode> {
    ask(&book, |reply| Message::Place(order, reply)).await.map(Json)
}

async fn view(State(book): State<Handle>) -> Result<Json<Book>, StatusCode> {
    ask(&book, Message::View).await.map(Json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::Side::{Buy, Sell};
    use crate::kit::{place, view};

    #[tokio::test(start_paused = true)]
    async fn orders_match_and_the_day_ends() {
        let app = routes(start());
        crate::kit::orders_match(&app).await;
        tokio::time::sleep(DAY + Duration::from_millis(1)).await;
        assert_eq!(view(&app).await, Book::default());
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_ends_the_service() {
        let app = routes(start());
        place(&app, Sell, u64::MAX, 2).await;
        assert_eq!(place(&app, Buy, u64::MAX, 2).await.0, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(place(&app, Buy, 7, 1).await.0, StatusCode::SERVICE_UNAVAILABLE);
        tokio::time::sleep(DAY).await;
        assert_eq!(place(&app, Buy, 7, 1).await.0, StatusCode::SERVICE_UNAVAILABLE);
    }
}
