//! Fetches the table of sessions from a kernel, in pieces, once for all who look.

use crate::table::Table;
use crate::view::{Silent, View};
use poe::inspect::SessionRow;
use std::rc::Rc;
use std::time::Instant;

/// Sessions that the kernel lists between two of its slices.
const PIECE: usize = 128;
/// Sessions that are listed; those beyond are only counted.
const MOST: usize = 200_000;

/// The table of a kernel: the last one if it is fresh. A stale one is given out too, while the next is fetched.
pub(crate) async fn table(view: &Rc<View>) -> Result<Rc<Table>, Silent> {
    let last = view.table.borrow().clone();
    if let Some(table) = last {
        if !table.is_fresh() && view.refresh.try_lock().is_ok() {
            let view = view.clone();
            tokio::task::spawn_local(async move { fetch(&view).await });
        }
        if !table.is_outdated() {
            return Ok(table);
        }
    }
    match fetch(view).await {
        Ok(table) => Ok(table),
        // The last that was known of it.
        Err(silent) => view.table.borrow().clone().ok_or(silent),
    }
}

/// One fetch at a time; who waited for it has its result.
async fn fetch(view: &View) -> Result<Rc<Table>, Silent> {
    let _one = view.refresh.lock().await;
    if let Some(table) = view.table.borrow().as_ref().filter(|table| table.is_fresh()) {
        return Ok(table.clone());
    }
    let began = Instant::now();
    let mut rows: Vec<SessionRow> = Vec::new();
    let mut from = Some(0);
    while let Some(start) = from.filter(|_| rows.len() < MOST) {
        let page = view.ask(move |kernel| kernel.sessions(start, PIECE)).await?;
        rows.extend(page.sessions);
        from = page.next;
    }
    let table = Rc::new(Table::of(rows, from.is_none(), began.elapsed()));
    *view.table.borrow_mut() = Some(table.clone());
    Ok(table)
}
