//! What each filter makes of bytes, and of records.

use bytes::{Bytes, BytesMut};
use poe::filter::{Block, Filter, FilterExt, Grep, Layer, Line, Map, Raw, RecordBlock, Stackable};
use poe_http::{Httpd, Incoming};

fn quote(bytes: impl AsRef<[u8]>) -> String {
    format!("\"{}\"", bytes.as_ref().escape_ascii())
}

/// A record as the twin shows it.
trait Show {
    fn show(&self) -> String;
}

impl Show for String {
    fn show(&self) -> String {
        quote(self)
    }
}

impl Show for Bytes {
    fn show(&self) -> String {
        quote(self)
    }
}

impl Show for Vec<String> {
    fn show(&self) -> String {
        format!("[{}]", self.iter().map(Show::show).collect::<Vec<_>>().join(" "))
    }
}

impl Show for Incoming {
    fn show(&self) -> String {
        match self {
            Incoming::Request(request) => format!(
                "request {} {} {:?} {}",
                request.method(),
                request.uri(),
                request.version(),
                quote(request.body())
            ),
            Incoming::Refused(refused) => format!("response {}", refused.response.status().as_u16()),
            Incoming::Chunk(chunk) => quote(chunk),
            Incoming::Expect(_) => "expect".to_owned(),
            Incoming::End => "end".to_owned(),
        }
    }
}

fn shown(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        "nothing".to_owned()
    } else {
        quote(bytes)
    }
}

fn reads<F: Filter<Input: Show>>(tag: &str, filter: &mut F, reads: &[&str]) {
    for read in reads {
        let records = filter.get(read.as_bytes());
        let records: Vec<String> = records
            .iter()
            .map(|record| record.as_ref().map_or("error".to_owned(), Show::show))
            .collect();
        let records = if records.is_empty() {
            "nothing".to_owned()
        } else {
            records.join(", ")
        };
        out!("{tag}{} gives {records}", quote(read));
    }
    out!("{tag}pending {}", shown(filter.pending()));
}

fn puts<F: Filter>(filter: &mut F, records: impl IntoIterator<Item = F::Output>) {
    let mut bytes = BytesMut::new();
    for record in records {
        filter.put(record, &mut bytes).unwrap();
    }
    out!("  put gives {}", quote(bytes));
}

fn texts(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn bytes(words: &[&'static str]) -> Vec<Bytes> {
    words.iter().map(|&word| Bytes::from(word)).collect()
}

pub(crate) async fn play() {
    out!("== line");
    reads("  ", &mut Line::new(), &["a\rb\nc\r\nd\n\re", "f\n"]);
    reads("[Q10] ", &mut Line::new(), &["a\r", "\nb\r\n"]);
    reads("  ", &mut Line::new().literal("--"), &["a-b--c-", "-d", "--"]);
    reads("  ", &mut Line::new().input_regexp("[xy]").unwrap(), &["axbyc"]);
    reads("  ", &mut Line::new().autodetect(), &["a\r", "\nb\r\nc\nd\r\n"]);
    reads("  ", &mut Line::new().autodetect(), &["a\n", "b\r\nc"]);
    puts(&mut Line::new(), texts(&["a", "", "b\nc"]));
    puts(&mut Line::new().output_literal("!"), texts(&["a", "b"]));

    out!("== stream");
    reads("  ", &mut Raw::new(), &["abc", "d\0e"]);
    puts(&mut Raw::new(), bytes(&["a", "", "b"]));

    out!("== block");
    reads("  ", &mut Block::fixed(4), &["12345", "678", "90"]);
    reads("  ", &mut Block::new(), &["1\0a2\0b", "c0\x000003\0def", "1"]);
    reads("[Q8] ", &mut Block::new(), &["3\0ab"]);
    reads("[B4] ", &mut Block::new(), &["!?1\0a"]);
    puts(&mut Block::new(), bytes(&["a", "", "bbbbbbbbbbbb"]));
    puts(&mut Block::fixed(4), bytes(&["ab", "c"]));

    out!("== recordblock, above lines");
    let mut pairs = Line::new().literal("!").then(RecordBlock::new(2));
    reads("[Q7] ", &mut pairs, &["a!b", "!c!", "d!e!f"]);
    puts(&mut pairs, [texts(&["a", "b", "c"]), texts(&["d"])]);
    pairs.stage_mut().set_checkput(true);
    puts(&mut pairs, [texts(&["a", "b", "c"])]);
    puts(&mut pairs, [texts(&["d"])]);

    out!("== map");
    let mut mapped = Line::new()
        .literal("!")
        .map(|line| line.to_uppercase(), |line: String| format!("<{line}>"));
    reads("  ", &mut mapped, &["a!b!", "c", "d!"]);
    puts(&mut mapped, texts(&["x", "y"]));
    mapped.stage_mut().modify_get(|line| Some(line.repeat(2)));
    reads("  ", &mut mapped, &["e!"]);

    out!("== grep");
    let grep = Grep::new(|line: &String| line.contains('1'), |line: &String| line.contains('2'));
    let mut picked = Line::new().literal("!").then(grep);
    reads("  ", &mut picked, &["a1!b2!c1!", "d2!e1", "!"]);
    puts(&mut picked, texts(&["x1", "y2"]));

    out!("== stackable");
    let mut stack = Stackable::<Vec<String>>::new([
        Layer::filter(Line::new().literal("!")),
        Layer::stage(Map::new(|line: String| format!("(({line}))"), |line: String| line)),
        Layer::stage(Grep::new(|line: &String| line.contains('1'), |_: &String| true)),
        Layer::stage(RecordBlock::<String>::new(2)),
    ]);
    reads("[Q7] ", &mut stack, &["one 1!two 2!", "three 3!four 14!"]);
    puts(&mut stack.fresh(), [texts(&["a", "b"])]);

    out!("== httpd");
    let http = |reads_of: &[&str]| reads("  ", &mut Httpd::new(), reads_of);
    http(&["GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n"]);
    http(&["\r\n  GET //a/b\n\n"]);
    http(&["GET\t/tab\t HTTP/1.0\n\r\n", "nonsense\r\n\r\n"]);
    http(&[
        "POST /p HTTP/1.0\r\nContent-Length: 4\r\n\r\nbo",
        "dyGET / HTTP/1.1\r\n\r\n",
    ]);
    let too_large = "POST /p HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody";
    reads("  ", &mut Httpd::new().max_content(3), &[too_large]);
    http(&["POST /p HTTP/1.1\r\nContent-Length: x\r\n\r\n"]);
    http(&["POST /p HTTP/1.1\r\nContent-Encoding: x\r\n\r\n"]);
    let mended = |tag: &str, read: &str| reads(tag, &mut Httpd::new(), &[read]);
    mended(
        "[Q14] ",
        "POST /p HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    );
    mended(
        "[Q15] ",
        "POST /1 HTTP/1.1\r\nContent-Length: 0\r\n\r\nGET /2 HTTP/1.1\r\n\r\n",
    );
    mended("[H4] ", "M-SEARCH * HTTP/1.1\r\n\r\n");
    mended(
        "[H9] ",
        "POST /p HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
    );
    let upload = ["POST /p HTTP/1.1\r\nContent-Length: 6\r\n\r\none", "two"];
    reads("[H2] ", &mut Httpd::new().streaming(true), &upload);
}
