//! What the tests of all three have in common.

use crate::book::{Book, Order, Side};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use tower::ServiceExt;

async fn ask<T: serde::de::DeserializeOwned>(app: &Router, request: Request<Body>) -> (StatusCode, Option<T>) {
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 4096).await.unwrap();
    (status, serde_json::from_slice(&body).ok())
}

pub async fn place(app: &Router, side: Side, price: u64, quantity: u64) -> (StatusCode, Option<u64>) {
    let order = serde_json::to_vec(&Order { side, price, quantity }).unwrap();
    let request = Request::post("/orders").header("content-type", "application/json");
    ask(app, request.body(Body::from(order)).unwrap()).await
}

pub async fn view(app: &Router) -> Book {
    ask(app, Request::get("/book").body(Body::empty()).unwrap())
        .await
        .1
        .unwrap()
}

pub async fn orders_match(app: &Router) {
    for (side, price, quantity) in [(Side::Sell, 101, 5), (Side::Sell, 100, 5), (Side::Buy, 99, 3)] {
        assert_eq!(place(app, side, price, quantity).await.1, Some(0));
    }
    assert_eq!(place(app, Side::Buy, 101, 7).await.1, Some(7)); // the best price first
    let (bids, asks) = ([(99, 3)].into(), [(101, 3)].into());
    assert_eq!(
        view(app).await,
        Book {
            bids,
            asks,
            turnover: 5 * 100 + 2 * 101
        }
    );
}
