//! Checksums, collect and merge, encoding and decoding: time on this processor.

use std::hint::black_box;
use std::time::{Duration, Instant};

use ostrakon_core::checksum::{Checksum, compact, portable};
use ostrakon_xtask::failure::Result;

use super::Context;
use crate::measure::Samples;
use crate::micro::{Task, tasks};
use crate::report::{Bar, Chart, Section, Table, number, spread};

/// How long one thing is measured.
const TIME: Duration = Duration::from_millis(400);

pub(super) fn run(context: &mut Context) -> Result<()> {
    let time = if context.quick { TIME / 4 } else { TIME };
    let mut table = Table::new(&["µs", "hardware checksum", "portable checksum"]);
    let mut hardware = tasks(ostrakon_linux::offline::checksum);
    let mut soft = tasks(portable);
    let mut bars = Vec::new();
    for (fast, slow) in hardware.iter_mut().zip(&mut soft) {
        let (fast, slow) = (measure(fast, time), (slow.name, measure(slow, time)));
        table.row(vec![slow.0.to_owned(), spread(&fast), spread(&slow.1)]);
        let fact = match slow.0 {
            "checksum of 64 blocks" => "cost.checksum",
            "collect and merge of 64 blocks" => "cost.collect",
            _ => "",
        };
        context.report.fact(fact, &fast);
        if !fact.is_empty() {
            for (samples, kind) in [(fast, "hardware"), (slow.1, "portable")] {
                bars.push(Bar {
                    label: format!("{}, {kind}", slow.0.replace(" of 64 blocks", "")),
                    samples,
                    ours: true,
                });
            }
        }
    }
    let mut routines = Table::new(&["checksum routine", "GB/s", "µs for a block"]);
    let all: [(&str, Checksum); 3] = [
        (
            "the processor's instruction (Linux)",
            ostrakon_linux::offline::checksum,
        ),
        ("portable, 16 KiB of tables", portable),
        ("compact, 1 KiB of tables (firmware)", compact),
    ];
    for (name, routine) in all {
        let (speed, block) = speed(routine, time);
        routines.row(vec![name.to_owned(), number(speed), number(block)]);
    }
    context.report.sections.push(Section {
        title: "Cost of the parts".to_owned(),
        text: "One thread. Collect and merge: every block of the region is verified (checksum, fields, log) and its log of three leaders merged, as \
               in each cycle of a voter; the bare checksum is that of the same 256 KiB with the same routine. The zeros behind a log are looked at and not \
               handed to the routine: the checksum of a block follows from that of what stands before them. No verdict on unchanged blocks is kept from \
               one collect to the next: what was read is what is judged. Times are of one run each; in brackets the 5th and the 95th percentile. \
               The repeatable figure is the number of instructions, in core/COUNTS.md."
            .to_owned(),
        tables: vec![table, routines],
        charts: vec![Chart {
            name: "collect",
            title: "Collect and merge beside the bare checksum of the same 256 KiB".to_owned(),
            unit: "µs",
            logarithmic: true,
            bars,
        }],
    });
    Ok(())
}

/// Runs in microseconds; of very short ones some hundred at a time would hide nothing, and are not needed.
fn measure(task: &mut Task, time: Duration) -> Samples {
    let mut values = Vec::new();
    let began = Instant::now();
    while began.elapsed() < time || values.len() < 32 {
        let job = task.prepare();
        let started = Instant::now();
        job();
        values.push(started.elapsed().as_secs_f64() * 1e6);
    }
    // The first runs find cold caches; of the others the outermost tell of the machine's other work.
    let mut warm = values.split_off(values.len() / 10);
    warm.sort_by(f64::total_cmp);
    let outside = warm.len() / 20;
    Samples::from_unsorted(warm[outside..warm.len() - outside].to_vec())
}

/// Gigabytes a second, and microseconds for a block.
fn speed(routine: Checksum, time: Duration) -> (f64, f64) {
    let bytes: Vec<u8> = (0..1 << 18).map(|n| (n * 7) as u8).collect();
    let (began, mut done) = (Instant::now(), 0);
    while began.elapsed() < time {
        black_box(routine(black_box(&bytes)));
        done += bytes.len();
    }
    let a_second = done as f64 / began.elapsed().as_secs_f64();
    (a_second / 1e9, 4096.0 / a_second * 1e6)
}
