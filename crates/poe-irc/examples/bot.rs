//! A bot that counts: `WORD++` counts a word, `!count WORD` asks for it, `!quit` ends the bot.
//!
//! ```text
//! cargo run -p poe-irc --example bot -- irc.example.org:6667 robot '#poe'
//! ```

use poe::event::START;
use poe::{Context, HandlerResult, Kernel, Session};
use poe_irc::{Irc, IrcClient, events};
use std::collections::HashMap;
use std::time::Duration;

struct Bot {
    irc: Irc,
    counts: HashMap<String, u64>,
}

fn on_public(cx: &mut Context<'_, Bot>, said: events::Said) -> HandlerResult {
    let bot = &mut *cx.heap;
    let text = said.text.to_str_lossy();
    match text.split_whitespace().collect::<Vec<_>>()[..] {
        ["!quit"] => bot.irc.quit("as told"),
        ["!count", word] => {
            let count = bot.counts.get(word).unwrap_or(&0);
            bot.irc.privmsg(&said.target, format!("{word}: {count}"))?;
        }
        ref words => {
            for word in words.iter().filter_map(|word| word.strip_suffix("++")) {
                *bot.counts.entry(word.to_owned()).or_default() += 1;
            }
        }
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, nick, channel] = &arguments[..] else {
        return Err("say ADDRESS NICK CHANNEL".into());
    };
    let kernel = Kernel::new();
    let builder = IrcClient::builder(nick, address.as_str()).channel(channel);
    let bot = Bot {
        irc: builder.start(&kernel)?,
        counts: HashMap::new(),
    };
    Session::builder(bot)
        .on(START, |cx, ()| cx.heap.irc.register(cx, events::PUBLIC))
        .on(events::PUBLIC, on_public)
        .create(&kernel)?;
    let limit = Duration::from_secs(10);
    kernel.serve_until(poe::hosts::terminated()?, limit).await?;
    Ok(())
}
