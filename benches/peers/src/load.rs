//! W7 load generator: C connections, each sends M 64-byte lines, one in
//! flight at a time, or F at once (`--flight`). One single-threaded tokio program for every server.

use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// On-CPU seconds of a process, all its threads, in nanosecond grain
/// (schedstat; utime in /proc/PID/stat only moves in ticks of 10 ms).
fn proc_cpu(pid: u32) -> f64 {
    let Ok(d) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return 0.0;
    };
    d.flatten()
        .filter_map(|t| std::fs::read_to_string(t.path().join("schedstat")).ok())
        .filter_map(|s| s.split(' ').next().and_then(|x| x.parse::<f64>().ok()))
        .sum::<f64>()
        / 1e9
}

pub fn main(a: &[String]) {
    let addr = a[0].clone();
    let c: usize = a[1].parse().unwrap();
    let m: u64 = a[2].parse().unwrap();
    let mut pid = 0u32;
    let mut flight = 1usize;
    let mut label = String::from("?");
    let mut i = 3;
    while i + 1 < a.len() {
        match a[i].as_str() {
            "--server-pid" => pid = a[i + 1].parse().unwrap(),
            "--flight" => flight = a[i + 1].parse().unwrap(),
            "--label" => label = a[i + 1].clone(),
            _ => {}
        }
        i += 2;
    }
    let rt = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&rt, async move {
        let mut conns = Vec::with_capacity(c);
        for _ in 0..c {
            let s = TcpStream::connect(&addr).await.expect("connect");
            s.set_nodelay(true).unwrap();
            conns.push(s);
        }
        // One warm-up line each, so that accept and set-up are not measured.
        let line: Vec<u8> = (0..63).map(|i| b'a' + (i % 26)).chain([b'\n']).collect();
        for s in conns.iter_mut() {
            s.write_all(&line).await.unwrap();
            let mut b = [0u8; 64];
            s.read_exact(&mut b).await.unwrap();
            assert_eq!(&b[..], &line[..]);
        }
        let cpu0 = proc_cpu(pid);
        let own0 = crate::common::cpu_seconds();
        let t0 = Instant::now();
        let mut tasks = Vec::with_capacity(c);
        for mut s in conns {
            let line = line.repeat(flight);
            tasks.push(tokio::task::spawn_local(async move {
                let mut b = vec![0u8; 64 * flight];
                let mut lat = Vec::with_capacity((m / 16) as usize + 1);
                for k in 0..m / flight as u64 {
                    let sample = k % 16 == 0;
                    let t = sample.then(Instant::now);
                    s.write_all(&line).await.unwrap();
                    s.read_exact(&mut b).await.unwrap();
                    if let Some(t) = t {
                        lat.push(t.elapsed().as_secs_f64() * 1e6);
                    }
                }
                lat
            }));
        }
        let mut lat = Vec::new();
        for t in tasks {
            lat.extend(t.await.unwrap());
        }
        let d = t0.elapsed();
        let cpu = proc_cpu(pid) - cpu0;
        let own = crate::common::cpu_seconds() - own0;
        lat.sort_by(|a, b| a.partial_cmp(b).unwrap());
        let n = c as u64 * (m / flight as u64) * flight as u64;
        let s = crate::common::Sample::new(n, d)
            .with("conns", c as f64)
            .with("flight", flight as f64)
            .with("server_cpu_us_per_rt", cpu * 1e6 / n as f64)
            .with("client_cpu_us_per_rt", own * 1e6 / n as f64)
            .with("server_busy", cpu / d.as_secs_f64())
            .with("rtt_p50_us", lat[lat.len() / 2])
            .with("rtt_p99_us", lat[(lat.len() - 1) * 99 / 100]);
        crate::common::print_line(
            &label,
            if c == 100 {
                "echo100"
            } else if c == 1000 {
                "echo1000"
            } else {
                "echo"
            },
            &s,
        );
    });
}
