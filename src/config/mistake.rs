//! Mistakes of a configuration: all at once, each with its place and its remedy.

use std::fmt;

/// All mistakes of one configuration, in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes {
    /// File name; empty for the command line, whose mistakes have no place but their option.
    pub name: String,
    /// Mistakes, at least one.
    pub list: Vec<Mistake>,
}

/// One mistake of a configuration, with its place and its remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Key, as in `collection[2].pagination.param`; empty where the text is no TOML.
    pub at: String,
    #[doc(hidden)]
    pub place: Option<TextPosition>,
    /// Description of the mistake.
    pub what: String,
    /// Remedy: the text to write instead.
    pub hint: String,
}

/// A place in a text; both count from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TextPosition {
    pub line: usize,
    /// The character in that line.
    pub column: usize,
}

impl TextPosition {
    pub(super) fn of(text: &str, byte: usize) -> Self {
        let mut end = byte.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &text[..end];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
    }
}

impl Mistakes {
    /// A single mistake that stands nowhere in a text.
    pub(super) fn one(name: &str, at: &str, what: String, hint: &str) -> Self {
        let mistake = Mistake { at: at.to_owned(), place: None, what, hint: hint.to_owned() };
        Self { name: name.to_owned(), list: vec![mistake] }
    }
}

impl std::error::Error for Mistakes {}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, mistake) in self.list.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            match mistake.place {
                Some(TextPosition { line, .. }) => write!(f, "{}:{line}: ", self.name)?,
                None if !self.name.is_empty() => write!(f, "{}: ", self.name)?,
                None => {}
            }
            write!(f, "{mistake}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.at.is_empty() {
            write!(f, "{}: ", self.at)?;
        }
        write!(f, "{}", self.what)?;
        if !self.hint.is_empty() {
            write!(f, "\n    hint: {}", self.hint)?;
        }
        Ok(())
    }
}
