//! `model`: explores worlds and says what it found.
use ostrakon_model::config::Config;
use ostrakon_model::search::search;
fn main() {
    let mut c = Config::BASE;
    let mut max = 20_000_000u64;
    for a in std::env::args().skip(1) {
        let (k, v) = a.split_once('=').unwrap();
        let n = || v.parse::<usize>().unwrap();
        match k {
            "p" => c.processes = n(), "q" => c.blocks = n(), "b" => c.ballots = n() as u8, "n" => c.seal = n(),
            "torn" => c.torn = n() as u8, "late" => c.late = n() as u8, "k" => c.left_out = n() as u8,
            "copies" => c.copies = n() as u8, "tu" => c.torn_updates = n() as u8,
            "overlap" => c.overlap = true, "fails" => c.failing_updates = n() as u8, "keeps" => c.keeps_writing = true,
            "lease" => c.lease = true, "one" => c.one_term = true, "max" => max = v.parse().unwrap(),
            "rule" => c = c.without(v),
            _ => panic!("{k}"),
        }
    }
    let r = search(&c, max);
    println!("states {} depth {} complete {} {:.1}s {:.0}/s", r.states, r.depth, r.complete, r.took.as_secs_f64(), r.states as f64 / r.took.as_secs_f64());
    if let Some((v, steps)) = r.violation {
        for (i, s) in steps.iter().enumerate() { println!("{:3} {s}", i + 1); }
        println!("=> {v}");
    }
}
