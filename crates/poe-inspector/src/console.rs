//! The text console: lines in, text out (POE's DebugShell).

use crate::command::{Action, Command};
use crate::fetch::table;
use crate::guard::is_equal;
use crate::orders;
use crate::recorder::{End, Seen};
use crate::sample::micros;
use crate::state::Server;
use crate::stream::{Filter, Reader};
use crate::table::Table;
use crate::tree::{self, Query, State, label, name, place, short};
use crate::view::{Silent, View};
use serde_json::Value;
use std::fmt::Write as _;
use std::io;
use std::rc::Rc;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, ReadHalf, WriteHalf};

/// Bytes of a command.
const LINE: u64 = 4096;
/// A console that says nothing for that long is closed.
const IDLE: Duration = Duration::from_secs(1800);
/// Lines of a reply.
const LINES: usize = 200;
const PROMPT: &str = "poe> ";

const HELP: &str = "\
help                  this text
kernels               the kernels of this process
use NAME              looks at another kernel
sessions [TEXT]       sessions, or those with TEXT in number, alias, type or place
tree                  the tree of sessions
why NAME              what keeps a session alive, by alias or number
queue                 events that wait
timers                timers, the next first
wheels                wheels, futures and streams
handlers              time of handlers, by event
slow                  slow handlers
log                   failures, dead letters, restarts
top                   the busiest sessions, every second, until you press Enter
stream [EVENT]        events as they are handled, until you press Enter
post NAME EVENT JSON  posts an event that the program has allowed
signal NAME SIGNAL    sends a signal, if the program has allowed it
stop NAME             kills a session, if the program has allowed it
quit                  ends this console
";

struct Console<S> {
    server: Rc<Server>,
    view: Option<Rc<View>>,
    input: BufReader<ReadHalf<S>>,
    output: WriteHalf<S>,
    may_act: bool,
}

pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(server: Rc<Server>, stream: S, is_own: bool) {
    let (input, output) = tokio::io::split(stream);
    let mut console = Console {
        view: server.all().first().cloned(),
        may_act: is_own || server.settings.token.is_some(),
        server,
        input: BufReader::new(input),
        output,
    };
    let ended = console.run(is_own).await;
    if let Err(error) = ended {
        tracing::debug!(target: "poe::inspector", "a console has ended: {error}");
    }
}

/// Text without control characters, which a terminal would obey.
fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c })
        .collect()
}

fn ago(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 1e-3 {
        format!("{:.0} µs", seconds * 1e6)
    } else if seconds < 1.0 {
        format!("{:.1} ms", seconds * 1e3)
    } else if seconds < 120.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{:.0} min", seconds / 60.0)
    }
}

fn clock(time: SystemTime) -> String {
    let millis = crate::sample::millis(time);
    let (seconds, millis) = (millis / 1000 % 86_400, millis % 1000);
    format!(
        "{:02}:{:02}:{:02}.{millis:03}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

impl<S: AsyncRead + AsyncWrite + Unpin> Console<S> {
    async fn run(&mut self, is_own: bool) -> io::Result<()> {
        if let Some(token) = self.server.settings.token.clone().filter(|_| !is_own) {
            let patience = self.server.settings.patience;
            let line = tokio::time::timeout(patience, self.line()).await??;
            let given = line.as_deref().and_then(|line| line.strip_prefix("auth "));
            if !given.is_some_and(|given| is_equal(given.trim(), &token)) {
                return self.say("a token is needed: begin with `auth TOKEN`\n").await;
            }
        }
        self.say("tokio-poe inspector; `help` lists the commands\n").await?;
        loop {
            self.say(PROMPT).await?;
            let Some(line) = tokio::time::timeout(IDLE, self.line()).await?? else {
                return Ok(());
            };
            let (command, rest) = match Command::of(&line) {
                Command::Nothing => continue,
                Command::Quit => return Ok(()),
                Command::Do { name, rest } => (name, rest),
            };
            match command {
                "stream" => self.stream(rest).await?,
                "top" => self.top().await?,
                _ => {
                    let text = self.command(command, rest).await;
                    self.say(&clean(&text)).await?;
                }
            }
        }
    }

    /// The next line; `None` at the end, and for a line that is too long.
    async fn line(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        let read = (&mut self.input).take(LINE).read_until(b'\n', &mut line).await?;
        if read == 0 || line.len() as u64 == LINE && line.last() != Some(&b'\n') {
            return Ok(None);
        }
        Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()))
    }

    async fn say(&mut self, text: &str) -> io::Result<()> {
        self.output.write_all(text.as_bytes()).await?;
        self.output.flush().await
    }

    async fn command(&mut self, command: &str, rest: &str) -> String {
        match command {
            "help" | "?" => return HELP.to_owned(),
            "kernels" => return self.kernels().await,
            "use" => {
                return match self.server.view(rest) {
                    Some(view) => {
                        let text = format!("kernel `{}`\n", view.name());
                        self.view = Some(view);
                        text
                    }
                    None => format!("there is no kernel `{rest}`; `kernels` lists them\n"),
                };
            }
            _ => {}
        }
        let Some(view) = self.view.clone().or_else(|| self.server.all().first().cloned()) else {
            return "there is no kernel yet\n".to_owned();
        };
        view.touch();
        if matches!(command, "queue" | "timers" | "wheels" | "slow") {
            // For the names of sessions.
            let _ = table(&view).await;
        }
        let said = match command {
            "sessions" => sessions(&view, rest).await,
            "tree" => whole_tree(&view).await,
            "why" => why(&view, rest).await,
            "queue" => queue(&view).await,
            "timers" => timers(&view).await,
            "wheels" => wheels(&view).await,
            "handlers" => Ok(handlers(&view)),
            "slow" => Ok(slow(&view)),
            "log" | "failures" => Ok(log(&view)),
            "post" | "signal" | "stop" => Ok(self.act(&view, command, rest).await),
            _ => Ok(format!("there is no command `{command}`; `help` lists them\n")),
        };
        said.unwrap_or_else(|silent| match silent {
            Silent::Gone => "the kernel is gone\n".to_owned(),
            Silent::Busy => format!(
                "the kernel has not replied for {}: it is not polled, or a handler does not return\n",
                ago(view.silence())
            ),
        })
    }

    async fn kernels(&self) -> String {
        let mut text = String::new();
        for (index, view) in self.server.all().iter().enumerate() {
            let summary = view.summary(index).await;
            let stats = summary.stats;
            let _ = writeln!(
                text,
                "{index}  {:20} {:8} {} sessions, {} queued, {} timers, {} tasks",
                summary.name, summary.state, stats.sessions, stats.queue, stats.timers, stats.tasks
            );
        }
        text
    }

    async fn act(&self, view: &View, command: &str, rest: &str) -> String {
        if !self.may_act {
            return "actions need a token, or a UNIX socket\n".to_owned();
        }
        let Action { to, what, arg } = Action::of(rest);
        let to = Value::String(to.to_owned());
        let done = match command {
            "post" => match serde_json::from_str(arg) {
                Ok(arg) => orders::post(&self.server, view, &to, what, arg).await,
                Err(error) => return format!("the argument is not JSON: {error}\n"),
            },
            "signal" => orders::signal(&self.server, view, &to, what).await,
            _ => orders::stop(&self.server, view, &to).await,
        };
        match done {
            Ok(()) => "done\n".to_owned(),
            Err(refused) => format!("{}\n", refused.why),
        }
    }

    async fn stream(&mut self, event: &str) -> io::Result<()> {
        let Some(view) = self.view.clone().or_else(|| self.server.all().first().cloned()) else {
            return Ok(());
        };
        let filter = Filter {
            event: event.to_lowercase(),
            ..Filter::default()
        };
        let mut reader = Reader::new(view.stream.subscribe(), filter);
        view.touch();
        loop {
            let part = tokio::select! {
                part = reader.next() => part,
                // Enter, or the end.
                line = self.line() => return line.map(drop),
            };
            let Some(part) = part else { return Ok(()) };
            let last = table(&view).await.ok();
            let mut text = String::new();
            if part.lost > 0 {
                let _ = writeln!(
                    text,
                    "({} events were lost, because this console was too slow)",
                    part.lost
                );
            }
            for seen in reader.wanted(&part) {
                text.push_str(&event_line(seen, last.as_deref()));
            }
            if part.batch.sampled {
                text.push_str("(a sample: there are more events than are recorded)\n");
            }
            self.say(&clean(&text)).await?;
        }
    }

    async fn top(&mut self) -> io::Result<()> {
        let Some(view) = self.view.clone().or_else(|| self.server.all().first().cloned()) else {
            return Ok(());
        };
        loop {
            view.touch();
            let text = match table(&view).await {
                Ok(table) => top_text(&view, &table),
                Err(_) => "the kernel does not reply\n".to_owned(),
            };
            self.say(&clean(&text)).await?;
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
                line = self.line() => return line.map(drop),
            }
        }
    }
}

fn event_line(seen: &Seen, table: Option<&Table>) -> String {
    let outcome = match &seen.outcome {
        End::Handled => String::new(),
        End::Unhandled => "  no handler".to_owned(),
        End::Failed(failure) => format!("  FAILED: {failure}"),
    };
    format!(
        "{}  {} -> {}  {}  {} µs  {}{outcome}\n",
        clock(seen.started),
        name(table, seen.sender),
        name(table, seen.session),
        seen.event,
        micros(seen.took),
        place(seen.place)
    )
}

fn top_text(view: &View, table: &Table) -> String {
    let sample = view.sample.borrow();
    let mut text = String::from("\n");
    if let Some(point) = sample.history.back() {
        let _ = writeln!(
            text,
            "{} events/s{}, {:.0} % busy, {} queued, an event waits {} µs, {} sessions, {} timers, {} failures",
            point.events,
            if point.sampled { " (sampled)" } else { "" },
            point.busy * 100.0,
            point.queue,
            point.wait_us.map_or_else(|| "?".to_owned(), |wait| wait.to_string()),
            point.sessions,
            point.timers,
            view.record().log().totals.failures
        );
    }
    let mut busy: Vec<_> = table.rows.iter().map(|row| (sample.rate(row.id.get()), row)).collect();
    busy.retain(|(rate, _)| *rate > 0.0);
    busy.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (rate, row) in busy.into_iter().take(15) {
        let _ = writeln!(text, "{rate:>10.1}/s  {:6} {}", row.id, label(row));
    }
    text
}

async fn sessions(view: &Rc<View>, wanted: &str) -> Result<String, Silent> {
    let table = table(view).await?;
    let wanted = wanted.to_lowercase();
    let found: Vec<_> = table.rows.iter().filter(|row| tree::matches(row, &wanted)).collect();
    let mut text = String::new();
    for row in found.iter().take(LINES) {
        let _ = writeln!(
            text,
            "{:6} {:30} parent {:6} {:3} holds  {}  {}",
            row.id,
            label(row),
            row.parent.to_string(),
            row.refcount,
            short(row.heap_type),
            place(row.place)
        );
    }
    let _ = match found.len() > LINES {
        true => writeln!(text, "{} sessions, of which the first {LINES}", found.len()),
        false => writeln!(text, "{} sessions", found.len()),
    };
    Ok(text)
}

async fn whole_tree(view: &Rc<View>) -> Result<String, Silent> {
    let table = table(view).await?;
    let lines = tree::lines(view, &table, &Query::default(), 0, LINES);
    let mut text = String::new();
    for line in &lines.lines {
        let state = match line.state {
            State::Failed => "  FAILED",
            State::Restarted => "  restarted",
            State::Stopping => "  stopping",
            State::Busy | State::Idle => "",
        };
        let _ = writeln!(text, "{}{}{state}  {}", "  ".repeat(line.depth), line.label, line.place);
    }
    if lines.total > LINES {
        let _ = writeln!(text, "and {} more", lines.total - LINES);
    }
    Ok(text)
}

async fn why(view: &Rc<View>, wanted: &str) -> Result<String, Silent> {
    let name = wanted.to_owned();
    let found = view.ask(move |kernel| {
        let by_number = name.parse().ok().and_then(|number| kernel.session_by_number(number));
        match by_number {
            Some(id) => kernel.session(id),
            None => kernel.session(name.as_str()),
        }
    });
    let Some(found) = found.await? else {
        return Ok(format!("no session has the number or alias `{wanted}`\n"));
    };
    let mut text = format!("session {}", found.id);
    if !found.aliases.is_empty() {
        let _ = write!(text, " ({})", found.aliases.join(", "));
    }
    let _ = write!(text, ", child of {}, created at {}", found.parent, place(found.place));
    if found.holds.is_empty() {
        text.push_str(": nothing keeps it alive, the next sweep stops it\n");
        return Ok(text);
    }
    text.push_str(", is kept alive by\n");
    for hold in &found.holds {
        let _ = writeln!(text, "  {hold}");
    }
    Ok(text)
}

async fn queue(view: &Rc<View>) -> Result<String, Silent> {
    let (events, stats) = view.ask(|kernel| (kernel.queue(LINES), kernel.stats())).await?;
    let last = view.table.borrow().clone();
    let mut text = format!("{} events wait\n", stats.queue);
    for event in &events {
        let (from, to) = (
            name(last.as_deref(), event.source),
            name(last.as_deref(), event.destination),
        );
        let _ = writeln!(text, "  {}  {from} -> {to}  {}", event.event, place(event.place));
    }
    Ok(text)
}

async fn timers(view: &Rc<View>) -> Result<String, Silent> {
    let (timers, stats) = view.ask(|kernel| (kernel.timers(LINES), kernel.stats())).await?;
    let last = view.table.borrow().clone();
    let mut text = format!("{} timers\n", stats.timers);
    let now = SystemTime::now();
    for timer in &timers {
        let due = timer
            .due
            .map_or(Duration::ZERO, |due| due.duration_since(now).unwrap_or_default());
        let to = name(last.as_deref(), timer.destination);
        let _ = writeln!(
            text,
            "  in {:10} {}  {to}  {}",
            ago(due),
            timer.event,
            place(timer.place)
        );
    }
    Ok(text)
}

async fn wheels(view: &Rc<View>) -> Result<String, Silent> {
    let (page, stats) = view.ask(|kernel| (kernel.tasks(0, LINES), kernel.stats())).await?;
    let last = view.table.borrow().clone();
    let mut text = format!("{} wheels, futures and streams\n", stats.tasks);
    for (session, task) in &page.tasks {
        let session = name(last.as_deref(), *session);
        let _ = write!(text, "  {} {}  {}  {session}", task.kind, task.id, task.name);
        if let Some(stream) = task.stream {
            let _ = write!(
                text,
                "  {} bytes read, {} written, {} wait{}",
                stream.bytes_read,
                stream.bytes_written,
                stream.buffered,
                if stream.is_paused { ", paused" } else { "" }
            );
        }
        let _ = writeln!(text, "  {}", place(task.place));
    }
    Ok(text)
}

fn handlers(view: &View) -> String {
    let sample = view.sample.borrow();
    let mut found: Vec<_> = sample.handlers.iter().collect();
    found.sort_by(|a, b| b.1.total_us.total_cmp(&a.1.total_us));
    let mut text = format!("{} dispatches were recorded\n", sample.number);
    for (event, handler) in found.into_iter().take(LINES) {
        let _ = writeln!(
            text,
            "  {event:30} {:8} times, mean {:8.1} µs, longest {:8.1} µs, {} failed",
            handler.count,
            handler.total_us / handler.count as f64,
            handler.max_us,
            handler.failed
        );
    }
    text
}

fn slow(view: &View) -> String {
    let last = view.table.borrow().clone();
    let sample = view.sample.borrow();
    let mut text = format!("handlers that took {} or longer\n", ago(sample.slow_limit));
    for seen in sample.slow.iter().rev().take(LINES) {
        text.push_str(&event_line(seen, last.as_deref()));
    }
    text
}

fn log(view: &View) -> String {
    let log = view.record().log();
    let totals = log.totals;
    let mut text = format!(
        "{} failures, {} dead letters, {} restarts\n",
        totals.failures, totals.dead_letters, totals.restarts
    );
    for entry in log.entries.iter().rev().take(LINES) {
        let _ = writeln!(
            text,
            "  {}  {:?}  {}  {}",
            clock(entry.time),
            entry.kind,
            entry.subject,
            entry.text
        );
    }
    text
}
