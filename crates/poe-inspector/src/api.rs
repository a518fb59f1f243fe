//! The paths: `/`, `/metrics`, and JSON under `/api/v1`.

use crate::fetch::table;
use crate::log;
use crate::metrics;
use crate::orders::act;
use crate::page;
use crate::query::{Params, decode};
use crate::reply::{Replied, Reply, failed, json, reply, with};
use crate::sample::millis;
use crate::state::{Server, Ticket};
use crate::stream::{Event, Filter, Reader};
use crate::tree::{self, Query, place};
use crate::view::{Silent, View};
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue};
use hyper::{Method, Request, StatusCode};
use poe::inspect::{EventType, QueuedEvent};
use serde_json::{Value, json as object};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Lines, events and entries of one reply, at most.
const PAGE: usize = 1000;
/// How often a stream without events says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(5);

pub(crate) async fn route(server: &Rc<Server>, request: Request<Incoming>, is_own: bool) -> Replied {
    let path = request.uri().path().to_owned();
    let parts: Option<Vec<String>> = path.split('/').skip(1).map(decode).collect();
    let Some(parts) = parts else {
        return failed(StatusCode::BAD_REQUEST, "the path is malformed");
    };
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let is_post = request.method() == Method::POST;
    if !is_post && request.method() != Method::GET && request.method() != Method::HEAD {
        return method_not_allowed("GET, HEAD, POST");
    }
    let query = Params::of(request.uri().query().unwrap_or(""));
    if is_post {
        return match parts[..] {
            ["api", "v1", "kernels", kernel, action] => match server.view(kernel) {
                Some(view) => act(server, &view, action, request, is_own).await,
                None => no_kernel(),
            },
            _ => method_not_allowed("GET, HEAD"),
        };
    }
    match parts[..] {
        [""] => page::page(),
        ["favicon.svg"] => reply(StatusCode::OK, "image/svg+xml", page::ICON),
        ["metrics"] => {
            let text = metrics::text(server).await;
            reply(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text)
        }
        ["api", "v1"] | ["api", "v1", ""] => about(server, is_own),
        ["api", "v1", "kernels"] => kernels(server).await,
        ["api", "v1", "kernels", kernel, ref rest @ ..] => match server.view(kernel) {
            Some(view) => {
                view.touch();
                of_kernel(server, view, rest, &query).await
            }
            None => no_kernel(),
        },
        _ => failed(
            StatusCode::NOT_FOUND,
            "there is nothing at this path; /api/v1 lists what there is",
        ),
    }
}

fn method_not_allowed(allowed: &'static str) -> Replied {
    let mut response = failed(StatusCode::METHOD_NOT_ALLOWED, "this method is not allowed here");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

fn no_kernel() -> Replied {
    failed(
        StatusCode::NOT_FOUND,
        "there is no such kernel; /api/v1/kernels lists them",
    )
}

fn silent(view: &View, silent: Silent) -> Replied {
    match silent {
        Silent::Gone => failed(StatusCode::GONE, "the kernel is gone"),
        Silent::Busy => {
            let why = format!(
                "the kernel has not replied for {:.1} s: it is not polled, or a handler does not return",
                view.silence().as_secs_f64()
            );
            failed(StatusCode::SERVICE_UNAVAILABLE, &why)
        }
    }
}

fn about(server: &Server, is_own: bool) -> Replied {
    let actions = &server.settings.actions;
    let authorised = is_own || server.settings.token.is_some();
    json(&object!({
        "api": 1,
        "version": env!("CARGO_PKG_VERSION"),
        "actions": {
            "authorised": authorised,
            "events": actions.events(),
            "signals": actions.signals,
            "stop": actions.stop,
        },
        "paths": [
            "/api/v1/kernels",
            "/api/v1/kernels/{kernel}",
            "/api/v1/kernels/{kernel}/tree?offset=&limit=&open=&closed=&filter=&flat=",
            "/api/v1/kernels/{kernel}/sessions?offset=&limit=&filter=",
            "/api/v1/kernels/{kernel}/sessions/{number or alias}?optional=",
            "/api/v1/kernels/{kernel}/queue?limit=",
            "/api/v1/kernels/{kernel}/timers?limit=",
            "/api/v1/kernels/{kernel}/wheels?from=&limit=",
            "/api/v1/kernels/{kernel}/history?since=",
            "/api/v1/kernels/{kernel}/handlers",
            "/api/v1/kernels/{kernel}/slow",
            "/api/v1/kernels/{kernel}/log",
            "/api/v1/kernels/{kernel}/stream?event=&session=&min_us=&failed=",
            "/metrics",
        ],
    }))
}

async fn kernels(server: &Server) -> Replied {
    let mut list = Vec::new();
    for (index, view) in server.all().iter().enumerate() {
        list.push(view.summary(index).await);
    }
    json(&object!({ "kernels": list }))
}

async fn of_kernel(server: &Rc<Server>, view: Rc<View>, rest: &[&str], query: &Params) -> Replied {
    let limit = query.number("limit").unwrap_or(100).min(PAGE);
    let offset = query.number("offset").unwrap_or(0);
    if matches!(*rest, ["queue" | "timers" | "wheels" | "slow"] | ["sessions", _]) {
        // For the names of sessions.
        let _ = table(&view).await;
    }
    match *rest {
        [] => {
            let index = server.all().iter().position(|one| Rc::ptr_eq(one, &view)).unwrap_or(0);
            json(&view.summary(index).await)
        }
        ["tree"] => match table(&view).await {
            Ok(table) => {
                let wanted = Query {
                    open: query.list("open").map(str::to_owned).collect(),
                    closed: query.list("closed").filter_map(|id| id.parse().ok()).collect(),
                    filter: query.text("filter").to_owned(),
                    flat: query.is_set("flat"),
                };
                let lines = tree::lines(&view, &table, &wanted, offset, limit);
                json(&object!({
                    "total": lines.total, "offset": offset, "lines": lines.lines,
                    "sessions": table.rows.len(), "complete": table.is_complete, "age_ms": table.age().as_millis() as u64,
                }))
            }
            Err(why) => silent(&view, why),
        },
        ["sessions"] => match table(&view).await {
            Ok(table) => {
                let wanted = query.text("filter").to_lowercase();
                let found: Vec<_> = table.rows.iter().filter(|row| tree::matches(row, &wanted)).collect();
                json(&object!({
                    "total": found.len(), "offset": offset, "complete": table.is_complete, "age_ms": table.age().as_millis() as u64,
                    "sessions": found.iter().skip(offset).take(limit).collect::<Vec<_>>(),
                }))
            }
            Err(why) => silent(&view, why),
        },
        ["sessions", wanted] => session(&view, wanted, query.is_set("optional")).await,
        ["queue"] => match view.ask(move |kernel| (kernel.queue(limit), kernel.stats())).await {
            Ok((events, stats)) => json(&object!({ "total": stats.queue, "events": named(&view, &events) })),
            Err(why) => silent(&view, why),
        },
        ["timers"] => match view.ask(move |kernel| (kernel.timers(limit), kernel.stats())).await {
            Ok((events, stats)) => json(&object!({ "total": stats.timers, "timers": named(&view, &events) })),
            Err(why) => silent(&view, why),
        },
        ["wheels"] => {
            let from = query
                .number("from")
                .and_then(|from| u32::try_from(from).ok())
                .unwrap_or(0);
            match view
                .ask(move |kernel| (kernel.tasks(from, limit), kernel.stats()))
                .await
            {
                Ok((page, stats)) => {
                    let last = view.table.borrow().clone();
                    let tasks = page.tasks.iter().map(|(session, task)| {
                        object!({
                            "session": session, "session_name": tree::name(last.as_deref(), *session),
                            "id": task.id, "kind": task.kind, "name": task.name, "place": place(task.place), "stream": task.stream,
                        })
                    });
                    json(&object!({ "total": stats.tasks, "next": page.next, "tasks": tasks.collect::<Vec<_>>() }))
                }
                Err(why) => silent(&view, why),
            }
        }
        ["history"] => {
            let since = query.number("since").unwrap_or(0) as u64;
            let sample = view.sample.borrow();
            let points: Vec<_> = sample.history.iter().filter(|point| point.t > since).collect();
            json(&object!({ "points": points }))
        }
        ["handlers"] => json(&handlers(&view)),
        ["slow"] => {
            let last = view.table.borrow().clone();
            let sample = view.sample.borrow();
            let slow = sample
                .slow
                .iter()
                .rev()
                .take(limit)
                .map(|seen| Event::of(seen, last.as_deref()));
            json(&object!({ "limit_ms": sample.slow_limit.as_secs_f64() * 1e3, "slow": slow.collect::<Vec<_>>() }))
        }
        ["log"] => json(&log_of(&view, limit)),
        ["stream"] => stream(server, view, query),
        _ => failed(
            StatusCode::NOT_FOUND,
            "there is nothing at this path; /api/v1 lists what there is",
        ),
    }
}

fn handlers(view: &View) -> Value {
    let sample = view.sample.borrow();
    let mut found: Vec<_> = sample.handlers.iter().collect();
    found.sort_by(|a, b| b.1.total_us.total_cmp(&a.1.total_us));
    let rows = found.into_iter().take(PAGE).map(|(event, handler)| {
        object!({
            "event": &**event, "count": handler.count, "failed": handler.failed,
            "total_us": handler.total_us, "mean_us": handler.total_us / handler.count as f64, "max_us": handler.max_us,
        })
    });
    object!({ "recorded": sample.number, "handlers": rows.collect::<Vec<_>>() })
}

pub(crate) fn log_of(view: &View, limit: usize) -> Value {
    let log = view.record().log();
    let entries = log.entries.iter().rev().take(limit).map(|entry| {
        object!({
            "t": millis(entry.time), "kind": entry.kind, "session": entry.session,
            "subject": entry.subject, "text": entry.text, "place": entry.place.map(place),
        })
    });
    object!({ "total": log.count, "totals": log.totals, "entries": entries.collect::<Vec<_>>() })
}

/// Queued events with the names of their sessions.
fn named(view: &View, events: &[QueuedEvent]) -> Vec<Value> {
    let last = view.table.borrow().clone();
    let table = last.as_deref();
    let named = events.iter().map(|event| {
        object!({
            "event": event.event, "from": event.source, "from_name": tree::name(table, event.source),
            "to": event.destination, "to_name": tree::name(table, event.destination),
            "due": event.due.map(millis), "place": place(event.place),
            "kind": match event.kind {
                EventType::User => "post",
                EventType::Call => "call",
                EventType::Signal => "signal",
                EventType::GarbageCollect => "new session",
                EventType::Alarm => "timer",
                _ => "other",
            },
        })
    });
    named.collect()
}

async fn session(view: &Rc<View>, wanted: &str, is_optional: bool) -> Replied {
    let wanted = wanted.to_owned();
    let asked = view.ask(move |kernel| {
        let by_number = wanted.parse().ok().and_then(|number| kernel.session_by_number(number));
        match by_number {
            Some(id) => kernel.session(id),
            None => kernel.session(wanted.as_str()),
        }
    });
    let found = match asked.await {
        Ok(Some(found)) => found,
        Ok(None) if is_optional => return json(&Value::Null),
        Ok(None) => {
            return failed(
                StatusCode::NOT_FOUND,
                "no session has this number or alias; it may have ended",
            );
        }
        Err(why) => return silent(view, why),
    };
    let id = found.id;
    let last = view.table.borrow().clone();
    let table = last.as_deref();
    let recent = view.recent(|seen| seen.session == id || seen.sender == id, 50);
    let recent: Vec<_> = recent.iter().map(|seen| Event::of(seen, table)).collect();
    let related = |id: poe::SessionId| object!({ "id": id, "name": tree::name(table, id) });
    let children: Vec<_> = found.children.iter().take(PAGE).map(|id| related(*id)).collect();
    let failures: Vec<log::Entry> = {
        let log = view.record().log();
        log.entries
            .iter()
            .rev()
            .filter(|entry| entry.session == Some(id))
            .take(20)
            .cloned()
            .collect()
    };
    let failures: Vec<_> = failures
        .iter()
        .map(|entry| object!({ "t": millis(entry.time), "kind": entry.kind, "subject": entry.subject, "text": entry.text }))
        .collect();
    let mut value = serde_json::to_value(&found).unwrap_or_default();
    if let Value::Object(map) = &mut value {
        map.insert("name".into(), tree::name(table, id).into());
        map.insert("parent_name".into(), tree::name(table, found.parent).into());
        map.insert("rate".into(), view.sample.borrow().rate(id.get()).into());
        map.insert("children_named".into(), children.into());
        map.insert("recent".into(), serde_json::to_value(recent).unwrap_or_default());
        map.insert("log".into(), failures.into());
    }
    json(&value)
}

fn stream(server: &Rc<Server>, view: Rc<View>, query: &Params) -> Replied {
    let most = server.settings.streams;
    let Some(ticket) = Ticket::take(server, |counts| &counts.streams, most) else {
        return failed(
            StatusCode::SERVICE_UNAVAILABLE,
            "there are too many streams already; end one first",
        );
    };
    let filter = Filter {
        event: query.text("event").to_lowercase(),
        session: query.number("session").map(|id| id as u64),
        min_us: query.text("min_us").parse().unwrap_or(0.0),
        failed: query.is_set("failed"),
    };
    let mut reader = Reader::new(view.stream.subscribe(), filter);
    view.touch();
    // One part is on its way at a time: who does not read loses events, and no memory grows.
    let (parts, body) = mpsc::channel(1);
    tokio::task::spawn_local(async move {
        let _ticket = ticket;
        if parts
            .send(Bytes::from_static(b": a stream of events\n\n"))
            .await
            .is_err()
        {
            return;
        }
        loop {
            let next = tokio::select! {
                next = tokio::time::timeout(HEARTBEAT, reader.next()) => next,
                () = parts.closed() => return,
            };
            let text = match next {
                Ok(Some(part)) => reader.written(&part, table(&view).await.ok().as_ref()),
                Ok(None) => return,
                Err(_) => Bytes::from_static(b": nothing new\n\n"),
            };
            if !text.is_empty() && parts.send(text).await.is_err() {
                return;
            }
        }
    });
    with(StatusCode::OK, "text/event-stream", Reply::Stream(body))
}
