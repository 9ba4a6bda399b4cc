//! `ostrakon-counts NAME`: runs one small thing a hundred times within [`measured`], for a tool that counts instructions.
//! Without a name it lists what there is.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use ostrakon_bench::micro::{Job, tasks};

/// Runs of one thing.
const RUNS: usize = 100;

fn main() -> ExitCode {
    // The portable routine: the other one depends on the processor.
    let mut tasks = tasks(ostrakon_core::checksum::portable);
    let Some(name) = std::env::args().nth(1) else {
        tasks.iter().for_each(|task| println!("{}", task.name));
        return ExitCode::SUCCESS;
    };
    let Some(task) = tasks.iter_mut().find(|task| task.name == name) else {
        eprintln!("there is no {name:?}");
        return ExitCode::FAILURE;
    };
    // The first run fills tables.
    task.prepare()();
    for _ in 0..RUNS {
        measured(task.prepare());
    }
    ExitCode::SUCCESS
}

/// Instructions are counted in here only.
#[inline(never)]
fn measured(job: Job) {
    job();
}
