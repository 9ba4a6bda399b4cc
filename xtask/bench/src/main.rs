#![forbid(unsafe_code)]
use std::time::{Duration, Instant};
use std::path::Path;
use ostrakon_bench::load::*;
use ostrakon_xtask::cluster::*;
use ostrakon_xtask::cluster::log::Mark;
fn main() {
    let n: usize = std::env::args().nth(1).unwrap().parse().unwrap();
    let q = std::env::args().nth(2).unwrap_or("1".into());
    let mut c = Cluster::unformatted(Path::new("target/release/ostrakon"), Path::new("target"), "bench").unwrap();
    let max = (n + 64).to_string();
    let o = c.tool().run("format", &["--quorum-count", &q, "--size", "64M", "--clients-max", &max]).unwrap();
    assert!(o.status.success(), "{o:?}");
    let mut v = vec![];
    for i in 0..2 { v.push(c.voter(&format!("v{i}")).unwrap()); }
    c.wait_connected(&v, Mark::START).unwrap();
    let leader = c.by_rid(&c.status().unwrap().server.unwrap().rid).unwrap();
    let pid = c.get(leader).pid();
    let show = |what: &str| {
        let s = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let io = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
        let st = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let f: Vec<_> = st.split(' ').collect();
        println!("{what}: {:?} {:?} cpu {:?} {:?}", s.lines().find(|l| l.starts_with("VmRSS")), io.split('\n').collect::<Vec<_>>(), f.get(13), f.get(14));
    };
    show("idle");
    let t = Instant::now();
    let ip = match c.ip() { std::net::IpAddr::V4(ip) => ip, _ => unreachable!() };
    let load = Load::start(LoadOptions { image: c.image().to_owned(), clients: n, sources: sources(ip, 8) }).unwrap();
    println!("cold {:?}", load.wait_welcomed(0, t, Duration::from_secs(120)).unwrap());
    show("full");
    std::thread::sleep(Duration::from_secs(10));
    show("10 s later");
    println!("losses {}", load.losses());
    let term = c.status().unwrap().server.unwrap().term;
    let t = Instant::now();
    c.kill(leader).unwrap();
    println!("failover {:?}", load.wait_welcomed(term, t, Duration::from_secs(120)).unwrap());
    println!("losses {} evicted {}", load.losses(), load.evicted());
    println!("left {:?}", load.leave(Duration::from_secs(100)));
}
