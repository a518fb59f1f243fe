//! The routes. Each asks the session through the kernel's handle, which goes anywhere.

use crate::counter::{ADD, COUNT, LAST_MINUTE, READY};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use poe::{CallError, KernelHandle};
use std::time::Duration;

/// How long a request may wait for the session.
const PATIENCE: Duration = Duration::from_millis(250);

/// `GET /count`, `GET /last-minute`, `POST /add` with a number as the body, and `GET /ready` for load balancers.
pub fn routes(kernel: KernelHandle) -> Router {
    Router::new()
        .route("/count", get(count))
        .route("/last-minute", get(last_minute))
        .route("/add", post(add))
        .route("/ready", get(ready))
        .with_state(kernel)
}

fn status<A>(error: CallError<A>) -> StatusCode {
    match error.is_died() {
        true => StatusCode::INTERNAL_SERVER_ERROR,
        false => StatusCode::SERVICE_UNAVAILABLE, // too late, too full, or gone
    }
}

async fn count(State(kernel): State<KernelHandle>) -> Result<String, StatusCode> {
    let total = kernel
        .call("counter", COUNT, ())
        .timeout(PATIENCE)
        .await
        .map_err(status)?;
    Ok(format!("{total}\n"))
}

async fn last_minute(State(kernel): State<KernelHandle>) -> Result<String, StatusCode> {
    let sum = kernel
        .call("counter", LAST_MINUTE, ())
        .timeout(PATIENCE)
        .await
        .map_err(status)?;
    Ok(format!("{sum}\n"))
}

async fn add(State(kernel): State<KernelHandle>, body: String) -> Result<String, StatusCode> {
    let n: u64 = body.trim().parse().map_err(|_| StatusCode::BAD_REQUEST)?;
    let total = kernel.call("counter", ADD, n).timeout(PATIENCE).await.map_err(status)?;
    Ok(format!("{total}\n"))
}

async fn ready(State(kernel): State<KernelHandle>) -> StatusCode {
    match kernel.call("counter", READY, ()).timeout(PATIENCE).await {
        Ok(true) => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}
