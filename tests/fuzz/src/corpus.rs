//! The corpus: a few inputs for each target, as text, one a line, in hexadecimal digits.
//!
//! What belongs here: inputs that once made a target fail, and the smallest that reach what random bytes seldom do.

use crate::Target;

/// The lines of a target.
fn text(target: &Target) -> &'static str {
    match target.name {
        "blocks" => include_str!("../corpus/blocks.txt"),
        "messages" => include_str!("../corpus/messages.txt"),
        "image" => include_str!("../corpus/image.txt"),
        "cluster" => include_str!("../corpus/cluster.txt"),
        other => panic!("{other} has no corpus"),
    }
}

/// The inputs of a target.
///
/// # Panics
/// If a line is no input.
pub fn inputs(target: &Target) -> Vec<Vec<u8>> {
    let lines = text(target).lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| parse(line).unwrap_or_else(|| panic!("{}: {line:?} is no input", target.name)))
        .collect()
}

/// An input as a line, for the corpus.
pub fn line(input: &[u8]) -> String {
    input.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A line of the corpus as an input.
pub fn parse(line: &str) -> Option<Vec<u8>> {
    let digits = line.as_bytes();
    let pairs = digits.chunks(2).map(|pair| {
        let pair = str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
        u8::from_str_radix(pair, 16).ok()
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back() {
        assert_eq!(parse(&line(&[0, 1, 0xfe])), Some(vec![0, 1, 0xfe]));
        assert_eq!(parse("0"), None);
        assert_eq!(parse("0g"), None);
    }
}
