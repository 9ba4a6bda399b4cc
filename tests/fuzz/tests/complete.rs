//! No decoder of core is left out: whatever there reads bytes and can be called from outside is called by a target.

#![forbid(unsafe_code)]

use std::fmt;
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

/// What core offers that takes bytes to read.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Decoder {
    /// `function(`.
    Function(String),
    /// `Type::function(`.
    Associated(String, String),
    /// `.method(` of a value of a type.
    Method(String, String),
}

impl fmt::Display for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Function(name) => write!(f, "{name}"),
            Self::Associated(subject, name) => write!(f, "{subject}::{name}"),
            Self::Method(subject, name) => write!(f, "{name} of a value of {subject}"),
        }
    }
}

impl Decoder {
    /// Whether a target calls it; `code` is of one file, as [`code`] leaves it.
    fn is_called(&self, code: &str) -> bool {
        match self {
            // `Other::name(` is another function: targets import what they call.
            Self::Function(name) => stands(code, &format!("{name}("), &['.', ':']),
            Self::Associated(subject, name) => stands(code, &format!("{subject}::{name}("), &[]),
            Self::Method(subject, name) => values(code, subject)
                .iter()
                .any(|value| stands(code, &format!("{value}.{name}("), &['.'])),
        }
    }
}

/// Whether a call stands in there: not as the end of a longer name or of what `joined` joins, and not where it is defined.
fn stands(code: &str, call: &str, joined: &[char]) -> bool {
    code.match_indices(call).any(|(at, _)| {
        let before = &code[..at];
        let longer = |last: char| last.is_alphanumeric() || last == '_' || joined.contains(&last);
        !before.ends_with(longer) && !before.ends_with("fn ")
    })
}

/// The names of what is made by a function of a type: `let mut NAME = TYPE::`.
fn values<'a>(code: &'a str, subject: &str) -> Vec<&'a str> {
    let made = format!(" = {subject}::");
    let lines = code.lines().filter_map(|line| line.split_once(&made));
    let names = lines.filter_map(|(left, _)| left.trim_start().strip_prefix("let "));
    names.map(|name| name.trim_start_matches("mut ")).collect()
}

/// A text without comments and its own tests.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines
        .map(|line| line.split(" // ").next().unwrap_or_default().to_owned() + "\n")
        .collect()
}

/// What a file offers that takes bytes to read.
fn decoders(text: &str) -> Vec<Decoder> {
    let (mut found, mut of_type) = (Vec::new(), None);
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
            let name = signature.split(['<', '(']).next().expect("a name").to_owned();
            found.push(match of_type {
                Some(subject) if signature.contains("self") => Decoder::Method(subject.to_owned(), name),
                Some(subject) => Decoder::Associated(subject.to_owned(), name),
                None => Decoder::Function(name),
            });
        }
    }
    found
}

fn function(name: &str) -> Decoder {
    Decoder::Function(name.to_owned())
}

fn associated(subject: &str, name: &str) -> Decoder {
    Decoder::Associated(subject.to_owned(), name.to_owned())
}

fn method(subject: &str, name: &str) -> Decoder {
    Decoder::Method(subject.to_owned(), name.to_owned())
}

#[test]
fn every_decoder_is_called_by_a_target() {
    let read = |path: PathBuf| fs::read_to_string(path).expect("a text");
    let targets: Vec<String> = sources(&Path::new(FUZZ).join("src"))
        .into_iter()
        .map(|path| code(&read(path)))
        .collect();
    let mut known = Vec::new();
    for room in ROOMS {
        for path in sources(&Path::new(FUZZ).join(room)) {
            known.extend(decoders(&read(path)));
        }
    }
    // Those that nobody could have overlooked, so that this looks in the right places.
    for decoder in [
        associated("SuperBlock", "decode"),
        associated("Message", "decode"),
        function("hello"),
        method("Initiator", "take"),
    ] {
        assert!(known.contains(&decoder), "{decoder} is not among {known:?}");
    }
    let missed = known
        .iter()
        .filter(|decoder| !targets.iter().any(|code| decoder.is_called(code)));
    let missed: Vec<String> = missed.map(Decoder::to_string).collect();
    assert!(missed.is_empty(), "no target calls {missed:?}");
    println!("{known:?}");
}

#[test]
fn what_only_looks_like_a_call_is_none() {
    let called = |decoder: &Decoder, text: &str| decoder.is_called(&code(text));
    let hello = function("hello");
    assert!(called(&hello, "let said = hello(&bytes);") && called(&hello, "drop(hello(&bytes))"));
    for text in [
        "fn hello(bytes: &[u8]) {",
        "0 => read_hello(u),",
        "client.hello(&secret)",
        "Initiator::hello(&secret)",
        "// hello(&bytes)",
        "    /// hello(&bytes)",
        "let bytes = []; // for hello(&bytes)",
        "#[cfg(test)]\nmod tests { hello(&bytes) }",
    ] {
        assert!(!called(&hello, text), "{text}");
    }
    let decode = associated("Block", "decode");
    assert!(called(&decode, "let block = format::Block::decode(&bytes);"));
    assert!(!called(&decode, "let block = SuperBlock::decode(&bytes);"));
    let take = method("Initiator", "take");
    assert!(called(
        &take,
        "let mut client = Initiator::new(offer);\nclient.take(&mut bytes)"
    ));
    for text in [
        "let client = Initiator::new(offer);\nconnecting.take()",
        "let client = Responder::new(offer);\nclient.take(&mut bytes)",
        "let client = Initiator::new(offer);\nself.client.take(&mut bytes)",
    ] {
        assert!(!called(&take, text), "{text}");
    }
}
