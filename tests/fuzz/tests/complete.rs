//! No decoder of core is left out: whatever there reads bytes and can be called from outside is called by a target.

#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};

const FUZZ: &str = env!("CARGO_MANIFEST_DIR");

/// The places in core where bytes of a device or of a peer are read.
const ROOMS: [&str; 2] = ["../../core/src/format", "../../core/src/noise"];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of the project") {
        let path = entry.expect("an entry of it").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        if path.is_dir() && name != "tests" {
            found.extend(sources(&path));
        } else if name.ends_with(".rs") && name != "tests.rs" {
            found.push(path);
        }
    }
    found
}

/// Calls of what a file offers that takes bytes to read: `Type::function(`, `.method(` or `function(`.
fn decoders(text: &str) -> Vec<String> {
    let (mut calls, mut of_type) = (Vec::new(), None);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(head) = line.strip_prefix("impl") {
            let subject = head.rsplit(" for ").next().unwrap_or(head);
            let subject = subject.trim_start_matches(|letter| letter != ' ').trim();
            of_type = subject.split(['<', ' ']).next();
        } else if line == "}" {
            of_type = None;
        }
        let Some(item) = line.trim_start().strip_prefix("pub ") else {
            continue;
        };
        let Some(item) = item.trim_start_matches("const ").strip_prefix("fn ") else {
            continue;
        };
        let mut signature = item.to_owned();
        while !signature.contains('{') {
            signature += lines.next().expect("a function has a body");
        }
        let (signature, _) = signature.split_once("->").unwrap_or((&signature, ""));
        // What is written into is `out`, a block or a buffer.
        let read = ["&[u8", "&'a [u8", "bytes: &'a mut [u8"];
        if read.iter().any(|bytes| signature.contains(bytes)) {
            let name = signature.split(['<', '(']).next().expect("a name");
            calls.push(match of_type {
                Some(_) if signature.contains("self") => format!(".{name}("),
                Some(subject) => format!("{subject}::{name}("),
                None => format!("{name}("),
            });
        }
    }
    calls
}

#[test]
fn every_decoder_is_called_by_a_target() {
    let read = |path: PathBuf| fs::read_to_string(path).expect("a text");
    let targets: String = sources(&Path::new(FUZZ).join("src"))
        .into_iter()
        .map(read)
        .collect();
    let mut known = Vec::new();
    for room in ROOMS {
        for path in sources(&Path::new(FUZZ).join(room)) {
            known.extend(decoders(&read(path)));
        }
    }
    // Those that nobody could have overlooked, so that this looks in the right places.
    for call in ["SuperBlock::decode(", "Message::decode(", "hello(", ".take("] {
        assert!(
            known.iter().any(|known| known == call),
            "{call}) is not among {known:?}"
        );
    }
    let missed: Vec<&String> = known.iter().filter(|call| !targets.contains(*call)).collect();
    assert!(missed.is_empty(), "no target calls {missed:?}");
    println!("{known:?}");
}
