//! `model [--quick | --full | --world WORDS] [--states N] [--rule NAME | --rules]`: explores worlds and says what it found.
//!
//! Without `--rule` all rules hold, and the exit code is 10 if a violation is found all the same. With `--rule` one
//! row of the table "what breaks when a rule goes" is explored, and the exit code is 10 because it is found.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use ostrakon_model::config::Config;
use ostrakon_model::search::{Report, search};
use ostrakon_model::worlds::{FULL, QUICK, Row, rows};

const HELP: &str = "\
cargo xtask model [--quick | --full | --world WORDS] [--states MAX] [--rule NAME | --rules]

Explores every interleaving of small worlds over the election's own decisions, breadth first, and says how many states there are.

  --quick      the worlds that can be explored to the end in a few minutes (the default)
  --full       larger ones too: hours, and as much memory as there is
  --world WORDS  of all of them those whose name contains this
  --states MAX stop each world after so many states
  --rule NAME  one rule left out: the violation that follows, step by step
  --rules      every rule left out, one after the other

Exit codes: 0 no violation, 2 a wrong argument, 10 a violation (with a rule left out that is what is expected).
";

const EXIT_USAGE: u8 = 2;
const EXIT_VIOLATION: u8 = 10;

struct Options {
    full: bool,
    world: Option<String>,
    states_max: Option<u64>,
    rows: Option<Vec<Row>>,
    help: bool,
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        full: false,
        world: None,
        states_max: None,
        rows: None,
        help: false,
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--quick" => options.full = false,
            "--full" => options.full = true,
            "--world" => options.world = Some(args.next().ok_or("--world needs a part of a name")?),
            "--rules" => options.rows = Some(rows()),
            "--states" => {
                let max = args.next().and_then(|max| max.parse().ok());
                options.states_max = Some(max.ok_or("--states needs a number")?);
            }
            "--rule" => {
                let name = args.next().ok_or("--rule needs a name")?;
                let row = rows().into_iter().find(|row| row.name == name);
                let names = || rows().iter().map(|row| row.name).collect::<Vec<_>>().join(", ");
                let row = row.ok_or_else(|| format!("no rule {name}; there are {}", names()))?;
                options.rows = Some(vec![row]);
            }
            "--help" | "-h" => options.help = true,
            _ => return Err(format!("unknown argument {arg}\n\n{HELP}")),
        }
    }
    Ok(options)
}

/// The worlds with all rules that were asked for.
fn worlds(options: &Options) -> Result<Vec<Config>, String> {
    let all = || QUICK.iter().chain(FULL).copied();
    let Some(words) = &options.world else {
        let larger = if options.full { FULL } else { &[] };
        return Ok(QUICK.iter().chain(larger).copied().collect());
    };
    let chosen: Vec<Config> = all().filter(|world| world.name.contains(words)).collect();
    if chosen.is_empty() {
        let names: Vec<_> = all().map(|world| world.name).collect();
        return Err(format!("no world {words:?}; there are:\n{}", names.join("\n")));
    }
    Ok(chosen)
}

fn show(config: &Config, report: &Report) {
    let seconds = report.took.as_secs_f64();
    println!(
        "{}: {} states to depth {} in {seconds:.1} s ({:.0} a second), {}",
        config.name,
        report.states,
        report.depth,
        report.states as f64 / seconds.max(1e-9),
        match (&report.violation, report.complete) {
            (Some((violation, _)), _) => format!("VIOLATION: {violation}"),
            (None, true) => "all there are; no violation".to_owned(),
            (None, false) => "not all there are; no violation so far".to_owned(),
        }
    );
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    if options.help {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let mut violated = false;
    let worlds: Vec<(Config, Option<Row>)> = match &options.rows {
        Some(rows) => rows.iter().map(|row| (row.config, Some(*row))).collect(),
        None => match worlds(&options) {
            Ok(worlds) => worlds.into_iter().map(|config| (config, None)).collect(),
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::from(EXIT_USAGE);
            }
        },
    };
    for (config, row) in &worlds {
        let config = Config {
            states_max: options.states_max.unwrap_or(config.states_max),
            ..*config
        };
        println!("{config:?}");
        let report = search(&config);
        show(&config, &report);
        if let Some((violation, steps)) = &report.violation {
            violated = true;
            if worlds.len() == 1 || row.is_none() {
                for (nr, step) in steps.iter().enumerate() {
                    println!("{:4}  {step}", nr + 1);
                }
                println!("      => {violation}");
            }
        }
        if let Some(row) = row {
            println!("the design's own model: {} steps", row.steps_then);
        }
    }
    if violated {
        ExitCode::from(EXIT_VIOLATION)
    } else {
        ExitCode::SUCCESS
    }
}
