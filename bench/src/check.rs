//! Before anything is timed: the corpora are the ones that they were, and every approach comes to the same lines.

use serde_json::Value;

use crate::approaches::{Approach, Yield};
use crate::corpora::{Corpus, expected, fingerprint};
use crate::splitter::Variant;

/// Pieces that cut every token, and every block of a vectorised scan.
const ODD_CHUNKS: [usize; 5] = [1, 7, 63, 64, 65];

/// Checks everything on small corpora, and says what is wrong.
pub fn run() -> Result<String, String> {
    let mut approaches = Approach::all();
    approaches.extend(Variant::all(&ODD_CHUNKS).into_iter().map(Approach::Unpage));
    let mut checked = 0;
    for corpus in Corpus::ALL {
        let found = fingerprint(corpus);
        if found != corpus.golden() {
            return Err(format!("{} are not the pages that they were: {found:#018x}", corpus.name()));
        }
        for page in corpus.pages(1) {
            for approach in &approaches {
                check(approach, &page).map_err(|what| format!("{} on {}: {what}", approach.name(), corpus.name()))?;
                checked += 1;
            }
        }
    }
    Ok(format!("{} approaches, {} corpora: {checked} pages split as expected", approaches.len(), Corpus::ALL.len()))
}

fn check(approach: &Approach, page: &[u8]) -> Result<(), String> {
    let (lines, expected) = (approach.lines(page), expected(page));
    match approach.leaves() {
        Yield::Nothing => Ok(()),
        Yield::Raw if lines == expected => Ok(()),
        Yield::Raw => {
            let at = lines.iter().zip(&expected).position(|(line, expected)| line != expected);
            Err(format!("byte {} differs", at.unwrap_or(lines.len().min(expected.len()))))
        }
        Yield::Printed => same_values(&lines, &expected),
    }
}

/// Printed JSON may spell a number or a letter differently.
fn same_values(lines: &[u8], expected: &[u8]) -> Result<(), String> {
    let values = |lines: &[u8]| -> Result<Vec<Value>, String> {
        serde_json::Deserializer::from_slice(lines)
            .into_iter()
            .collect::<Result<_, _>>()
            .map_err(|error| error.to_string())
    };
    let (lines, expected) = (values(lines)?, values(expected)?);
    let differs = lines.iter().zip(&expected).position(|(line, expected)| !same(line, expected));
    match differs {
        Some(record) => Err(format!("record {record} differs")),
        None if lines.len() != expected.len() => Err(format!("{} records, not {}", lines.len(), expected.len())),
        None => Ok(()),
    }
}

fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let found = |(name, value)| other.get(name).is_some_and(|other| same(value, other));
            one.len() == other.len() && one.iter().all(found)
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_can_fail() {
        assert!(same_values(b"{\"a\":12.5,\"b\":[1]}\n", b"{\"b\":[1],\"a\":12.50}\n").is_ok());
        assert!(same_values(b"{\"a\":1}\n", b"{\"a\":2}\n").is_err());
        assert!(same_values(b"1\n", b"1\n2\n").is_err());
    }
}
