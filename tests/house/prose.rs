//! Comments as prose: their openings, their pronouns and how much of a file they are.

use crate::source::{self, Comment, CommentKind};

/// A doc comment that opens with one of these leaves its reader without the noun.
const OPENINGS: &[&str] = &["what", "who", "whose", "whom", "whether", "how", "where", "which", "when"];

const PRONOUNS: &[&str] =
    &["nobody", "somebody", "anybody", "everybody", "whoever", "whomever", "whatever", "whichever", "nobody's"];

/// Phrases that stand for a term of the field: the head of the queue, resumed, fetched again, a number that has a name.
const RIDDLES: &[&str] =
    &["its turn", "their turn", "gone on with", "walked again", "in confidence", "so many", "as it were", "such a one"];

#[derive(Default)]
pub(crate) struct Prose {
    pub(crate) doc_comments: usize,
    pub(crate) relative_openings: Vec<String>,
    pub(crate) words: usize,
    pub(crate) pronouns: Vec<String>,
    pub(crate) riddles: Vec<String>,
}

/// Reads the comments of all files below some folders, tests included.
pub(crate) fn read(folders: &[&str]) -> Prose {
    let mut prose = Prose::default();
    for (path, text) in folders.iter().flat_map(|folder| source::rust_files(folder)) {
        let (_, comments) = source::lex(&text);
        let mut before: Option<Comment<'_>> = None;
        for comment in comments {
            let continues = before.is_some_and(|before| before.kind == comment.kind && before.line + 1 == comment.line);
            if comment.kind != CommentKind::Plain && !continues {
                prose.doc_comments += 1;
                let first = first_word(comment.text);
                if OPENINGS.contains(&first.as_str()) {
                    prose.relative_openings.push(format!("{path}:{}: {}", comment.line, comment.text));
                }
            }
            prose.words += comment.text.split_whitespace().count();
            let lower = comment.text.to_lowercase();
            let found = lower.split(|c: char| !c.is_alphabetic() && c != '\'').filter(|word| PRONOUNS.contains(word));
            let riddles = RIDDLES.iter().filter(|riddle| lower.contains(*riddle));
            prose.riddles.extend(riddles.map(|riddle| format!("{path}:{}: {riddle}: {}", comment.line, comment.text)));
            prose.pronouns.extend(found.map(|word| format!("{path}:{}: {word}: {}", comment.line, comment.text)));
            before = Some(comment);
        }
    }
    prose
}

impl Prose {
    pub(crate) fn opening_share(&self) -> f64 {
        percent(self.relative_openings.len(), self.doc_comments)
    }

    /// Pronouns without a noun in 1,000 words of comments.
    pub(crate) fn pronoun_rate(&self) -> f64 {
        percent(self.pronouns.len(), self.words) * 10.0
    }
}

pub(crate) fn percent(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

fn first_word(text: &str) -> String {
    text.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default().to_lowercase()
}
