//! HTML in which every text is escaped.

use std::fmt::{Display, Write as _};
use std::time::Duration;

/// HTML under construction. Markup is literal; bytes of upstreams and clients go through [`Markup::text`] alone.
#[derive(Debug, Default)]
pub(super) struct Markup(String);

impl Markup {
    /// Appends markup of the program's own.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0 += markup;
        self
    }

    /// Appends a text: characters of markup as references, invisible and bidirectional ones by their number, as `U+202E`.
    pub(super) fn text(&mut self, text: impl Display) -> &mut Self {
        for c in text.to_string().chars() {
            match c {
                '&' => self.0 += "&amp;",
                '<' => self.0 += "&lt;",
                '>' => self.0 += "&gt;",
                '"' => self.0 += "&quot;",
                '\'' => self.0 += "&#39;",
                '\n' => self.0.push('\n'),
                c if is_invisible(c) => {
                    write!(self.0, "U+{:04X}", u32::from(c)).expect("writing to a String never fails");
                }
                c => self.0.push(c),
            }
        }
        self
    }

    pub(super) fn into_html(self) -> String {
        self.0
    }
}

/// Returns true for controls, for marks that change the direction of other characters, and for spaces without a width.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A number with commas between its thousands.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Returns a time as `2h 5m` or `40s`.
pub(super) fn duration(seconds: u64) -> String {
    // Seconds tell nothing beside hours.
    let seconds = if seconds >= 3600 { seconds - seconds % 60 } else { seconds };
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}

/// A time that has passed, in its largest unit: the text of an older one changes less often.
pub(super) fn ago(seconds: u64) -> String {
    match seconds {
        0..60 => "just now".to_owned(),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup_or_hides_another() {
        let mut markup = Markup::default();
        markup.raw("<td title=\"").text("\"><script>alert('1')&\u{202e}\u{0}\u{85}\u{200b}é\n").raw("\">");
        let expected = "<td title=\"&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&amp;U+202EU+0000U+0085U+200Bé\n\">";
        assert_eq!(markup.into_html(), expected);
    }

    #[test]
    fn numbers_have_commas() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), text);
        }
    }
}
