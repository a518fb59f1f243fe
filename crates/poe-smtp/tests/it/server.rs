//! The server: order, pipelining, replies that come later, refusals, AUTH, limits.

use crate::kit::{Log, Talk, mailbox, server, with};
use poe_smtp::{SmtpLimits, SmtpServer};
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_mail_is_taken_and_the_next_one() {
    let log = with(server(), async |kernel| {
        let mut talk = Talk::new(kernel);
        assert_eq!(talk.reply().await, "220 mx.test ESMTP");
        talk.send("EHLO a.test\r\n").await;
        assert_eq!(
            talk.reply().await,
            "250-mx.test|250-PIPELINING|250-SIZE 10485760|250-8BITMIME|250-CHUNKING|250 ENHANCEDSTATUSCODES"
        );
        for n in 0..2 {
            assert_eq!(talk.code("MAIL FROM:<a@a.test> SIZE=20 BODY=8BITMIME").await, "250");
            assert_eq!(talk.code("RCPT TO:<b@here.test>").await, "250");
            assert_eq!(talk.code("RCPT TO:<c@there.test>").await, "550");
            assert_eq!(talk.code("DATA").await, "354");
            assert_eq!(talk.code(&format!("Subject: {n}\r\n\r\n..\r\n.")).await, "250");
        }
        assert_eq!(talk.code("QUIT").await, "221");
        assert_eq!(talk.reply().await, "");
    })
    .await;
    let once = |n| {
        [
            "mail a@a.test 20 true".to_owned(),
            "rcpt b@here.test".to_owned(),
            "rcpt c@there.test".to_owned(),
            format!("message a@a.test [\"b@here.test\"] \"Subject: {n}\\r\\n\\r\\n.\\r\\n\""),
        ]
    };
    let first = ["helo a.test tls=false".to_owned()].into_iter();
    assert_eq!(
        log,
        first
            .chain(once(0))
            .chain(once(1))
            .chain(["over 2".to_owned()])
            .collect::<Vec<_>>()
    );
}

#[tokio::test(start_paused = true)]
async fn commands_in_one_write_are_replied_to_in_order_also_when_replies_come_late() {
    with(server(), async |kernel| {
        let mut talk = Talk::new(kernel);
        talk.send("EHLO a.test\r\nMAIL FROM:<a@a.test>\r\nRCPT TO:<slow@here.test>\r\nRCPT TO:<x@there.test>\r\nRCPT TO:<b@here.test>\r\nDATA\r\n")
            .await;
        let mut codes = Vec::new();
        for _ in 0..7 {
            codes.push(talk.reply().await[..3].to_owned());
        }
        assert_eq!(codes, ["220", "250", "250", "250", "550", "250", "354"]);
        // One slow client does not keep another waiting.
        let mut slow = Talk::new(kernel);
        slow.begin().await;
        slow.send("RCPT TO:<slow@here.test>\r\n").await;
        let begun = tokio::time::Instant::now();
        assert_eq!(talk.code("text\r\n.").await, "250");
        assert!(begun.elapsed() < Duration::from_secs(1));
        assert_eq!(slow.reply().await, "250 2.0.0 OK");
        assert!(begun.elapsed() > Duration::from_secs(59));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_does_not_come_is_a_reason_to_try_later() {
    with(server(), async |kernel| {
        let mut talk = Talk::new(kernel);
        talk.begin().await;
        assert_eq!(talk.code("RCPT TO:<lost@here.test>").await, "451");
        assert_eq!(talk.code("RCPT TO:<354@here.test>").await, "451");
        let begun = tokio::time::Instant::now();
        assert_eq!(talk.code("RCPT TO:<never@here.test>").await, "451");
        assert_eq!(begun.elapsed().as_secs(), 120);
        assert_eq!(talk.code("DATA").await, "354");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_a_reply_is_owed_leaves_nothing_behind() {
    let log = with(server(), async |kernel| {
        let mut talk = Talk::new(kernel);
        talk.begin().await;
        talk.send("RCPT TO:<never@here.test>\r\n").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(talk);
        tokio::time::sleep(Duration::from_secs(300)).await;
    })
    .await;
    assert_eq!(log.last().unwrap(), "over 0");
}

#[tokio::test(start_paused = true)]
async fn commands_come_in_their_order() {
    with(server(), async |kernel| {
        let mut talk = Talk::new(kernel);
        talk.reply().await;
        for (line, code) in [
            ("MAIL FROM:<a@a.test>", "503"),
            ("EHLO bad", "550"),
            ("HELO a.test", "250"),
            ("RCPT TO:<b@here.test>", "503"),
            ("DATA", "503"),
            ("MAIL FROM:<>", "250"),
            ("MAIL FROM:<>", "503"),
            ("RSET", "250"),
            ("RCPT TO:<b@here.test>", "503"),
            ("NOOP", "250"),
            ("HELP", "214"),
            ("VRFY ann", "252"),
            ("STARTTLS", "502"),
            ("AUTH PLAIN", "502"),
        ] {
            assert_eq!(talk.code(line).await, code, "{line}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn too_many_errors_end_the_connection() {
    with(server().errors(3), async |kernel| {
        let mut talk = Talk::new(kernel);
        talk.send("X\r\nX\r\nX\r\nNOOP\r\n").await;
        let mut codes = Vec::new();
        for _ in 0..6 {
            codes.push(talk.reply().await.get(..3).unwrap_or_default().to_owned());
        }
        assert_eq!(codes, ["220", "500", "500", "500", "421", ""]);
        let mut talk = Talk::new(kernel);
        talk.reply().await;
        assert_eq!(talk.code("EHLO gone").await, "421");
        assert_eq!(talk.reply().await, "");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn smuggling_is_refused_and_no_second_mail_comes() {
    for end in ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r\n", "\r\n.\r"] {
        let log = with(server(), async |kernel| {
            let mut talk = Talk::new(kernel);
            talk.begin().await;
            assert_eq!(talk.code("DATA").await, "354");
            talk.send(format!(
                "one{end}MAIL FROM:<x@x.test>\r\nRCPT TO:<b@here.test>\r\nDATA\r\ntwo\r\n.\r\nQUIT\r\n"
            ))
            .await;
            assert_eq!(talk.reply().await[..11].to_owned(), "554 5.6.11 ");
            assert_eq!(talk.reply().await, "");
        })
        .await;
        assert!(log.iter().all(|line| !line.starts_with("message")), "{log:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_wait_for_354_is_refused() {
    let log = with(server(), async |kernel| {
        let mut talk = Talk::new(kernel);
        talk.begin().await;
        talk.send("DATA\r\nMAIL FROM:<x@x.test>\r\n.\r\n").await;
        assert_eq!(talk.reply().await, "554 5.5.0 wait for the reply to DATA");
        assert_eq!(talk.reply().await, "");
    })
    .await;
    assert_eq!(log.last().unwrap(), "over 0");
}

#[tokio::test(start_paused = true)]
async fn limits_bite() {
    let mut limits = SmtpLimits::default();
    limits.mail = 1000;
    let builder = server()
        .limits(limits)
        .recipients(2)
        .idle_timeout(Duration::from_secs(30));
    with(builder, async |kernel| {
        let mut talk = Talk::new(kernel);
        talk.begin().await;
        assert_eq!(talk.code("RCPT TO:<c@here.test>").await, "250");
        assert_eq!(talk.code("RCPT TO:<d@here.test>").await, "452");
        assert_eq!(talk.code("DATA").await, "354");
        assert_eq!(talk.code(&format!("{}.", "0123456789\r\n".repeat(1000))).await, "552");
        assert_eq!(talk.code("MAIL FROM:<a@a.test> SIZE=1001").await, "552");
        assert_eq!(talk.code(&"x".repeat(20_000)).await, "500");
        assert_eq!(talk.code("NOOP").await, "250");
        let begun = tokio::time::Instant::now();
        assert_eq!(talk.reply().await, "");
        assert_eq!(begun.elapsed().as_secs(), 30);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn accounts_are_checked_by_the_session() {
    assert!(
        server()
            .auth()
            .start(&poe::testing::kernel())
            .await
            .unwrap_err()
            .to_string()
            .contains("need a certificate")
    );
    let log = with(server().require_auth().allow_plaintext_auth(), async |kernel| {
        let mut talk = Talk::new(kernel);
        talk.reply().await;
        talk.send("EHLO a.test\r\n").await;
        assert!(talk.reply().await.ends_with("|250 AUTH PLAIN LOGIN"));
        assert_eq!(talk.code("MAIL FROM:<a@a.test>").await, "530");
        assert_eq!(talk.code("AUTH CRAM-MD5").await, "504");
        assert_eq!(talk.code("AUTH PLAIN AGFubgBndWVzcw==").await, "535");
        assert_eq!(talk.code("AUTH PLAIN !").await, "501");
        assert_eq!(talk.code("AUTH LOGIN").await, "334");
        assert_eq!(talk.code("*").await, "501");
        assert_eq!(talk.code("AUTH LOGIN").await, "334");
        assert_eq!(talk.code("YW5u").await, "334");
        assert_eq!(talk.code("c2VzYW1l").await, "235");
        assert_eq!(talk.code("AUTH LOGIN").await, "503");
        assert_eq!(talk.code("MAIL FROM:<a@a.test>").await, "250");
    })
    .await;
    assert_eq!(log[1..3], ["auth ann", "auth ann"]);
}

#[tokio::test(start_paused = true)]
async fn nobody_becomes_a_relay_by_forgetting_a_handler() {
    let kernel = poe::testing::kernel();
    poe::Session::builder(())
        .on(poe::event::START, |cx, ()| cx.alias_set("mail"))
        .create(&kernel)
        .unwrap();
    let server = SmtpServer::builder("memory:smtp", "mail").start(&kernel).await.unwrap();
    let talk = async {
        let mut talk = Talk::new(&kernel);
        talk.reply().await;
        assert_eq!(talk.code("EHLO a.test").await, "250");
        assert_eq!(talk.code("MAIL FROM:<a@a.test>").await, "250");
        assert_eq!(talk.code("RCPT TO:<b@here.test>").await, "550");
    };
    tokio::select! {
        () = talk => {}
        ran = kernel.run() => panic!("{ran:?}"),
    }
    server.shutdown();
}

/// RFC 3030: the parts of a mail are one mail, whatever the reads are, and what is sent behind one is the next command.
#[tokio::test(start_paused = true)]
async fn a_mail_in_parts_is_taken() {
    let log = with(server(), async |kernel| {
        let mut talk = Talk::new(kernel);
        talk.begin().await;
        talk.send("BDAT 7\r\nMAIL FR").await;
        assert_eq!(talk.reply().await, "250 2.0.0 7 bytes");
        // Behind a first part no other recipient or DATA.
        for line in ["RCPT TO:<c@here.test>", "DATA", "MAIL FROM:<x@x.test>"] {
            assert_eq!(talk.code(line).await, "503", "{line}");
        }
        for byte in "bdat 0\r\nBDAT 8  last\r\nOM\r\n.\r\nx".bytes() {
            talk.send([byte]).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(talk.reply().await, "250 2.0.0 0 bytes");
        assert_eq!(talk.reply().await, "250 2.0.0 queued");
        // A mail that a RSET takes back, and one behind it, in one write.
        talk.send("MAIL FROM:<a@a.test>\r\nRCPT TO:<b@here.test>\r\nBDAT 3\r\noneRSET\r\nMAIL FROM:<a@a.test>\r\nRCPT TO:<b@here.test>\r\nBDAT 5 LAST\r\ntwo\r\nNOOP\r\n")
            .await;
        for code in ["250", "250", "250", "250", "250", "250", "250", "250"] {
            assert_eq!(&talk.reply().await[..3], code);
        }
    })
    .await;
    let mails: Vec<&String> = log.iter().filter(|line| line.starts_with("message")).collect();
    assert_eq!(
        mails,
        [
            "message a@a.test [\"b@here.test\"] \"MAIL FROM\\r\\n.\\r\\nx\\r\\n\"",
            "message a@a.test [\"b@here.test\"] \"two\\r\\n\""
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn parts_that_are_refused_are_not_read_as_commands() {
    let mut limits = SmtpLimits::default();
    limits.mail = 100;
    let log = with(server().limits(limits), async |kernel| {
        let mut talk = Talk::new(kernel);
        talk.reply().await;
        assert_eq!(talk.code("EHLO a.test").await, "250");
        // Nobody to send it to: its bytes are dropped, also where they look like commands.
        talk.send("BDAT 6\r\nQUIT\r\nNOOP\r\n").await;
        assert_eq!(&talk.reply().await[..3], "503");
        assert_eq!(&talk.reply().await[..3], "250");
        // Parts that are too large together end the mail, and what the client sends on is refused.
        assert_eq!(talk.code("MAIL FROM:<a@a.test>").await, "250");
        assert_eq!(talk.code("RCPT TO:<b@here.test>").await, "250");
        talk.send(format!(
            "BDAT 60\r\n{0}BDAT 60\r\n{0}BDAT 60 LAST\r\n{0}",
            "x".repeat(60)
        ))
        .await;
        for code in ["250", "552", "503"] {
            assert_eq!(&talk.reply().await[..3], code);
        }
        // One that is too large alone is not awaited.
        talk.send("BDAT 101\r\nNOOP\r\n").await;
        assert_eq!(&talk.reply().await[..3], "552");
        assert_eq!(talk.reply().await, "");
        for (parts, reply) in [
            ("BDAT\r\nNOOP\r\n", "554 5.6.11 BDAT without a size is refused"),
            ("BDAT -1 LAST\r\nNOOP\r\n", "554 5.6.11 BDAT without a size is refused"),
            ("BDAT 1 2 LAST\r\nNOOP\r\n", "554 5.6.11 BDAT without a size is refused"),
            (
                "BDAT 99999999999999999999999 LAST\r\nNOOP\r\n",
                "552 5.3.4 a mail has at most 100 bytes",
            ),
        ] {
            let mut talk = Talk::new(kernel);
            talk.begin().await;
            talk.send(parts).await;
            assert_eq!(talk.reply().await, reply, "{parts:?}");
            assert_eq!(talk.reply().await, "", "{parts:?}");
        }
        // A bare line end, also across two parts, would be read differently by the next server.
        for parts in [
            "BDAT 5 LAST\r\na\n.\r\n",
            "BDAT 2\r\na\rBDAT 3 LAST\r\nb\r\n",
            "BDAT 1\r\naBDAT 2 LAST\r\n\nb",
        ] {
            let mut talk = Talk::new(kernel);
            talk.begin().await;
            talk.send(parts).await;
            let mut last = talk.reply().await;
            if last.starts_with("250") {
                last = talk.reply().await;
            }
            assert!(last.starts_with("554 5.6.11 a bare "), "{last} {parts:?}");
            assert_eq!(talk.reply().await, "", "{parts:?}");
        }
    })
    .await;
    assert!(log.iter().all(|line| !line.starts_with("message")), "{log:?}");
}

#[tokio::test(start_paused = true)]
async fn clients_are_told_when_the_kernel_shuts_down() {
    let kernel = poe::testing::kernel();
    mailbox(&kernel, &Log::default());
    let _server = server().start(&kernel).await.unwrap();
    let talks = async {
        let (mut idle, mut sending, mut waiting) = (Talk::new(&kernel), Talk::new(&kernel), Talk::new(&kernel));
        idle.reply().await;
        sending.begin().await;
        assert_eq!(sending.code("DATA").await, "354");
        sending.send("half a mail\r\n").await;
        waiting.begin().await;
        waiting.send("RCPT TO:<slow@here.test>\r\n").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let shutdown = kernel.shutdown(Duration::from_secs(10));
        let told = async {
            for talk in [&mut idle, &mut sending, &mut waiting] {
                assert_eq!(talk.reply().await, "421 4.3.2 mx.test shuts down");
                assert_eq!(talk.reply().await, "");
            }
        };
        tokio::join!(shutdown, told);
    };
    let (ran, ()) = tokio::join!(kernel.run(), talks);
    ran.unwrap();
    poe::testing::assert_no_leaks(&kernel);
}
