//! The inspector's thread: a runtime of its own, so that a kernel never waits for it.

use crate::beat;
use crate::console;
use crate::door::Door;
use crate::error::InspectorError;
use crate::listen::{Addresses, Endpoint, Listener, Refused};
use crate::patient::Patient;
use crate::settings::Settings;
use crate::state::{Counts, Server, Ticket, add};
use crate::view::View;
use crate::web;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio::task::{LocalSet, spawn_local};

/// Consoles at a time.
const CONSOLES: usize = 16;

/// Takes over what the list of kernels has now.
fn take_over(server: &Server, door: &Door) {
    let entries = door.entries();
    let mut views = server.views.borrow_mut();
    views.retain(|view| entries.iter().any(|entry| Arc::ptr_eq(entry, &view.entry)));
    for entry in entries {
        if !views.iter().any(|view| Arc::ptr_eq(&entry, &view.entry)) {
            let view = View::new(entry);
            view.sample.borrow_mut().slow_limit = server.settings.slow;
            views.push(view.clone());
            spawn_local(beat::run(view));
        }
    }
}

type Ready = oneshot::Sender<Result<Addresses, InspectorError>>;

/// The thread, until the inspector ends.
pub(crate) fn run(settings: Settings, door: &Arc<Door>, ready: Ready) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => LocalSet::new().block_on(&runtime, serve(settings, door, ready)),
        Err(error) => drop(ready.send(Err(InspectorError::thread(error)))),
    }
}

async fn serve(settings: Settings, door: &Arc<Door>, ready: Ready) {
    let bound = async {
        Ok((
            open(settings.web.as_ref(), &settings).await?,
            open(settings.console.as_ref(), &settings).await?,
        ))
    };
    let (web, console) = match bound.await {
        Ok(bound) => bound,
        Err(error) => return drop(ready.send(Err(error))),
    };
    let address = |listener: &Option<Listener>| listener.as_ref().and_then(Listener::address);
    let addresses = Addresses {
        web: address(&web),
        console: address(&console),
    };
    let server = Rc::new(Server {
        settings,
        views: RefCell::default(),
        counts: Counts::default(),
    });
    if let Some(listener) = web {
        spawn_local(accept(server.clone(), listener, Service::Web));
    }
    if let Some(listener) = console {
        spawn_local(accept(server.clone(), listener, Service::Console));
    }
    if ready.send(Ok(addresses)).is_err() {
        return;
    }
    loop {
        take_over(&server, door);
        if door.is_over() {
            break;
        }
        door.changed.notified().await;
    }
    door.leave();
}

async fn open(endpoint: Option<&Endpoint>, settings: &Settings) -> Result<Option<Listener>, InspectorError> {
    let Some(endpoint) = endpoint else { return Ok(None) };
    match Listener::bind(endpoint, settings.token.is_some()).await {
        Ok(listener) => Ok(Some(listener)),
        Err(Refused::Exposed) => Err(InspectorError::exposed(endpoint.to_string())),
        Err(Refused::Io(error)) => Err(InspectorError::bind(endpoint.to_string(), error)),
    }
}

#[derive(Clone, Copy)]
enum Service {
    Web,
    Console,
}

async fn accept(server: Rc<Server>, listener: Listener, service: Service) {
    loop {
        let accepted = match &listener {
            Listener::Tcp(listener) => listener.accept().await.map(|(stream, _)| {
                let _ = stream.set_nodelay(true);
                start(&server, service, stream, false);
            }),
            #[cfg(unix)]
            Listener::Unix { listener, .. } => listener
                .accept()
                .await
                .map(|(stream, _)| start(&server, service, stream, true)),
        };
        if let Err(error) = accepted {
            // Of descriptors or memory, mostly: others will end.
            tracing::debug!(target: "poe::inspector", "cannot accept a connection: {error}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Serves a connection, or closes it at once if there are too many. `is_own` is a peer with this user's rights.
fn start<S: AsyncRead + AsyncWrite + Unpin + 'static>(server: &Rc<Server>, service: Service, stream: S, is_own: bool) {
    add(&server.counts.accepted);
    let (counter, most): (fn(&Counts) -> &Cell<usize>, _) = match service {
        Service::Web => (|counts| &counts.connections, server.settings.connections),
        Service::Console => (|counts| &counts.consoles, CONSOLES),
    };
    let Some(ticket) = Ticket::take(server, counter, most) else {
        return;
    };
    let stream = Patient::new(stream, server.settings.patience);
    let server = server.clone();
    spawn_local(async move {
        match service {
            Service::Web => web::serve(server, stream, is_own).await,
            Service::Console => console::serve(server, stream, is_own).await,
        }
        drop(ticket);
    });
}
