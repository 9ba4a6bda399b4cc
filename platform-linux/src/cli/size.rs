//! Sizes as people write them.

/// Bytes from a number and a unit of 1024: `64M`, `10GiB`, `4096`.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size; expected a number and K, M, G or T, such as 64M");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let unit = text[digits..].trim_end_matches("iB").trim_end_matches('B');
    let shift = match unit.to_ascii_uppercase().as_str() {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err(wrong()),
    };
    number
        .checked_mul(1 << shift)
        .filter(|&size| size > 0 && size < 1 << 63)
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        let cases = [
            ("4096", 4096),
            ("64K", 65536),
            ("64k", 65536),
            ("2MiB", 2 << 20),
            ("3GB", 3 << 30),
            ("1T", 1 << 40),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "M",
            "-1",
            "1.5G",
            "1X",
            "0",
            "99999999999T",
            "18446744073709551616",
        ] {
            assert!(parse_size(text).unwrap_err().contains("such as 64M"), "{text}");
        }
    }
}
