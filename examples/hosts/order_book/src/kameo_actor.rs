//! As a kameo actor under a supervisor: a message type and an impl for each kind of message.

use crate::book::{Book, Order};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use kameo::error::{Infallible, SendError};
use kameo::prelude::*;
use kameo::supervision::RestartPolicy;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);

pub struct BookActor(Book);

impl Actor for BookActor {
    type Args = ();
    type Error = Infallible;

    async fn on_start(_: (), actor: ActorRef<Self>) -> Result<Self, Infallible> {
        let weak = actor.downgrade();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(DAY).await;
                let Some(actor) = weak.upgrade() else { return };
                if actor.tell(Close).await.is_err() {
                    return;
                }
            }
        });
        Ok(BookActor(Book::default()))
    }
}

struct Place(Order);
struct Look;
struct Close;

impl Message<Place> for BookActor {
    type Reply = Result<u64, Infallible>;
    async fn handle(&mut self, Place(order): Place, _: &mut Context<Self, Self::Reply>) -> Self::Reply {
        Ok(self.0.place(order))
    }
}

impl Message<Look> for BookActor {
    type Reply = Result<Book, Infallible>;
    async fn handle(&mut self, _: Look, _: &mut Context<Self, Self::Reply>) -> Self::Reply {
        Ok(self.0.clone())
    }
}

impl Message<Close> for BookActor {
    type Reply = ();
    async fn handle(&mut self, _: Close, _: &mut Context<Self, Self::Reply>) {
        self.0 = Book::default();
    }
}

#[derive(Actor)]
pub struct Root;

/// The supervisor must be kept.
pub async fn start() -> (ActorRef<BookActor>, ActorRef<Root>) {
    let root = Root::spawn(Root);
    let book = BookActor::supervise(&root, ())
        .restart_policy(RestartPolicy::Permanent)
        .spawn()
        .await;
    (book, root)
}

pub fn routes(book: ActorRef<BookActor>) -> Router {
    Router::new()
        .route("/orders", post(place))
        .route("/book", get(view))
        .with_state(book)
}

fn status<M, E>(error: SendError<M, E>) -> StatusCode {
    match error {
        SendError::ActorStopped | SendError::HandlerError(_) => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

async fn place(State(book): State<ActorRef<BookActor>>, Json(order): Json<Order>) -> Result<Json<u64>, StatusCode> {
    book.ask(Place(order))
        .reply_timeout(Duration::from_secs(1))
        .await
        .map(Json)
        .map_err(status)
}

async fn view(State(book): State<ActorRef<BookActor>>) -> Result<Json<Book>, StatusCode> {
    book.ask(Look)
        .reply_timeout(Duration::from_secs(1))
        .await
        .map(Json)
        .map_err(status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::Side::{Buy, Sell};
    use crate::kit::{place, view};

    #[tokio::test(start_paused = true)]
    async fn orders_match_and_the_day_ends() {
        let (book, _root) = start().await;
        let app = routes(book);
        crate::kit::orders_match(&app).await;
        tokio::time::sleep(DAY + Duration::from_millis(1)).await;
        assert_eq!(view(&app).await, Book::default());
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_costs_one_caller_an_error_and_the_next_one_finds_a_new_book() {
        let (book, _root) = start().await;
        let app = routes(book);
        place(&app, Sell, u64::MAX, 2).await;
        assert_eq!(place(&app, Buy, u64::MAX, 2).await.0, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(place(&app, Buy, 7, 1).await.1, Some(0));
    }
}
