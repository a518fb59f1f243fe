//! POE's `04_drivers/01_sysrw`: block sizes, byte and message counts, a full pipe, the end and an error.
//!
//! Its facts about wrong parameters are the compiler's here: a driver takes one number.
#![cfg(unix)]

use poe::driver::{Chunk, SysRW};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;

fn pair() -> (UnixStream, UnixStream) {
    let (one, other) = UnixStream::pair().unwrap();
    one.set_nonblocking(true).unwrap();
    other.set_nonblocking(true).unwrap();
    (one, other)
}

/// Puts and flushes until the handle takes no more; says how much it took.
fn write_until_full(driver: &mut SysRW, handle: &mut impl Write) -> usize {
    let big = vec![b'*'; 1024 * 1024];
    let mut written = 0;
    loop {
        let waits = driver.put(&big);
        let left = driver.flush(handle).unwrap();
        written += waits - left;
        if left > 0 {
            return written;
        }
    }
}

/// Reads until there is nothing for now; says how much there was.
fn read_until_empty(driver: &mut SysRW, handle: &mut impl io::Read) -> usize {
    let mut read = 0;
    loop {
        match driver.get(handle).unwrap() {
            Chunk::Bytes(bytes) => {
                assert!((1..=driver.block_size()).contains(&bytes.len()));
                read += bytes.len();
            }
            Chunk::NotReady => return read,
            Chunk::End => panic!("it has not ended"),
        }
    }
}

#[test]
fn d1_a_block_of_no_bytes_is_refused() {
    assert!(SysRW::with_block_size(0).is_err());
    assert_eq!(SysRW::new().block_size(), 65_536);
    assert_eq!(SysRW::with_block_size(1024).unwrap().block_size(), 1024);
}

#[test]
fn d2_a_read_that_fails_is_an_error() {
    let mut write_only = File::options().write(true).open("/dev/null").unwrap();
    assert!(SysRW::new().get(&mut write_only).is_err());
}

#[test]
fn d3_d5_put_counts_bytes_and_messages() {
    let mut driver = SysRW::with_block_size(1024).unwrap();
    assert_eq!(driver.put(b""), 0);
    assert_eq!(driver.out_messages(), 0);
    assert_eq!(driver.put(&b"test".repeat(10)), 40);
    assert_eq!(driver.out_messages(), 1);
    assert_eq!(driver.put(&b"more test".repeat(5)), 85);
    // Bytes, not characters.
    assert_eq!(driver.put("é".as_bytes()), 87);
    assert_eq!(driver.out_messages(), 3);
}

/// Law 36, and what follows: everything that was put comes out, and the end is told apart from an error.
#[test]
fn d4_law_36_a_full_pipe_is_no_error_and_takes_the_rest_later() {
    let (mut ours, mut theirs) = pair();
    let mut driver = SysRW::with_block_size(1024).unwrap();
    assert_eq!(driver.flush(&mut ours).unwrap(), 0, "nothing to write is a success");

    let written = write_until_full(&mut driver, &mut ours);
    assert_eq!(read_until_empty(&mut driver, &mut theirs), written);
    let before = driver.buffered_bytes();
    assert!(before > 0 && driver.out_messages() == 1, "half a message counts as one");
    let mut rest = 0;
    while driver.flush(&mut ours).unwrap() > 0 {
        rest += read_until_empty(&mut driver, &mut theirs);
    }
    rest += read_until_empty(&mut driver, &mut theirs);
    assert_eq!(rest, before);
    assert_eq!((driver.out_messages(), driver.buffered_bytes()), (0, 0));

    // What was written before the end comes before it.
    let last = write_until_full(&mut driver, &mut ours);
    drop(ours);
    let mut read = 0;
    loop {
        match driver.get(&mut theirs).unwrap() {
            Chunk::Bytes(bytes) => read += bytes.len(),
            Chunk::End => break,
            Chunk::NotReady => panic!("it has ended"),
        }
    }
    assert_eq!(read, last);
}

#[test]
fn d4_a_write_that_fails_keeps_the_bytes() {
    let (mut ours, theirs) = pair();
    drop(theirs);
    let mut driver = SysRW::new();
    driver.put(b"nobody reads this");
    let failed = driver.flush(&mut ours).unwrap_err();
    assert_eq!(failed.kind(), io::ErrorKind::BrokenPipe);
    assert_eq!((driver.buffered_bytes(), driver.out_messages()), (17, 1));
}
