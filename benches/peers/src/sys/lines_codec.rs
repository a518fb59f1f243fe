//! lines-codec: the echo that one writes on Tokio with `tokio_util`'s LinesCodec, one task a connection. By variant: each
//! line is sent when it comes (`send`, the default), or as many as there are before a flush (`forward`).

use crate::common::*;
use futures_util::{SinkExt, StreamExt};
use tokio_util::codec::{Framed, LinesCodec};

pub struct LinesCodecEcho;

impl Peer for LinesCodecEcho {
    fn name(&self) -> &'static str {
        "lines-codec"
    }
    fn run(&self, w: Work, _: u64, o: &Opts) -> Out {
        if w != Work::Echo {
            return Out::Skip("an echo only");
        }
        let rt = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let forward = o.variant == "forward";
        tokio::task::LocalSet::new().block_on(&rt, echo(forward))
    }
}

async fn echo(forward: bool) -> ! {
    let l = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("PORT {}", l.local_addr().unwrap().port());
    loop {
        let (s, _) = l.accept().await.unwrap();
        s.set_nodelay(true).unwrap();
        let mut lines = Framed::new(s, LinesCodec::new());
        tokio::task::spawn_local(async move {
            if forward {
                let (sink, stream) = lines.split();
                let _ = stream.forward(sink).await;
                return;
            }
            while let Some(Ok(line)) = lines.next().await {
                if lines.send(line).await.is_err() {
                    return;
                }
            }
        });
    }
}
