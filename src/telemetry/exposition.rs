//! The text format that Prometheus reads (version 0.0.4): a family of samples after the other, each with its help and its type.

use std::fmt::{Display, Write};

/// What the format is called in a head.
pub(super) const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A text that grows by whole families.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    text: String,
}

/// What a family's numbers may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Only grow, until the process ends.
    Counter,
    /// Come and go.
    Gauge,
}

/// The samples of one family.
#[derive(Debug)]
pub(super) struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Exposition {
    /// Starts a family; a counter's name ends with `_total`.
    pub(super) fn family(&mut self, kind: Kind, name: &'static str, help: &str) -> Family<'_> {
        let word = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {word}").expect("a string takes any text");
        Family { text: &mut self.text, name }
    }

    /// The whole text.
    pub(super) fn into_text(self) -> String {
        self.text
    }
}

impl Family<'_> {
    /// One number, under these labels.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        writeln!(self.text, "{}{labels} {value}", self.name).expect("a string takes any text");
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_told_with_their_help_and_labels_are_escaped() {
        let mut exposition = Exposition::default();
        exposition.family(Kind::Gauge, "a", "One\\two\nthree.").sample(&[], 0.5);
        let mut family = exposition.family(Kind::Counter, "b_total", "None or \"some\".");
        family.sample(&[("x", "1"), ("y", "\"\\\n")], 7);
        exposition.family(Kind::Gauge, "c", "Nothing.");
        assert_eq!(
            exposition.into_text(),
            "# HELP a One\\\\two\\nthree.\n# TYPE a gauge\na 0.5\n\
             # HELP b_total None or \"some\".\n# TYPE b_total counter\nb_total{x=\"1\",y=\"\\\"\\\\\\n\"} 7\n\
             # HELP c Nothing.\n# TYPE c gauge\n"
        );
    }
}
