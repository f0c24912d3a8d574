//! Words that stand for a value, and the word that a wrong one was probably meant to be.

use super::toml_node::TomlNode;
use super::toml_text::text;

/// Words, each of which is a value; the first is the default.
pub(super) struct Words<T: 'static>(pub(super) &'static [(&'static str, T)]);

/// `false`, the default, and `true`.
pub(super) struct Flag<T: 'static>(pub(super) [T; 2]);

impl<T: Clone + PartialEq> Words<T> {
    pub(super) fn read(&self, node: &TomlNode<'_>) -> Option<T> {
        let word = node.text()?;
        match self.meaning(word) {
            Some(meaning) => Some(meaning),
            None => {
                let key = node.at.rsplit('.').next().unwrap_or_default();
                node.refuse(format!("unknown {key} {word:?}"), one_of(word, self.0.iter().map(|(name, _)| *name)))
            }
        }
    }

    pub(super) fn meaning(&self, word: &str) -> Option<T> {
        self.0.iter().find(|(name, _)| *name == word).map(|(_, meaning)| meaning.clone())
    }

    pub(super) fn write(&self, value: &T) -> String {
        let word = self.0.iter().find(|(_, meaning)| meaning == value).map_or("", |(name, _)| name);
        text(word)
    }

    pub(super) fn usual(&self) -> T {
        self.0[0].1.clone()
    }
}

impl<T: Clone + PartialEq> Flag<T> {
    pub(super) fn read(&self, node: &TomlNode<'_>) -> Option<T> {
        node.flag().map(|flag| self.0[usize::from(flag)].clone())
    }

    pub(super) fn write(&self, value: &T) -> String {
        (*value == self.0[1]).to_string()
    }

    pub(super) fn usual(&self) -> T {
        self.0[0].clone()
    }
}

/// Returns the hint for a word that is none of these.
pub(super) fn one_of<'a>(word: &str, choices: impl Iterator<Item = &'a str> + Clone) -> String {
    let all = choices.clone().collect::<Vec<_>>().join(", ");
    match nearest(word, choices) {
        Some(near) => format!("one of {all}; did you mean {near:?}?"),
        None => format!("one of {all}"),
    }
}

/// Returns the candidate that the word was probably meant to be.
pub(super) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // A word of one or two letters is near to every other.
    let length = word.chars().count();
    let bound = if length > 2 { (length / 3).max(1) } else { 0 };
    candidates
        .map(|candidate| (strsim::osa_distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= bound)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
