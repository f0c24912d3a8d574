//! Sparkline of the records a second over the last five minutes, as SVG.

use std::fmt::Write as _;

use super::markup::{Markup, count};

/// Width in seconds, height without a unit.
const SIZE: (usize, f64) = (300, 40.0);

/// Writes a line of the rates, the oldest at the left; the newest stands at the right edge.
pub(super) fn sparkline(rates: &[u64], html: &mut Markup) {
    let (width, height) = SIZE;
    let most = rates.iter().copied().max().unwrap_or_default();
    let mut points = String::new();
    for (at, rate) in rates.iter().enumerate() {
        let x = width - rates.len() + at + 1;
        let y = height - *rate as f64 / most.max(1) as f64 * (height - 2.0) - 1.0;
        write!(points, "{x},{y:.1} ").expect("writing to a String never fails");
    }
    let start = width - rates.len() + 1;
    html.raw("<figure><svg viewBox=\"0 0 300 40\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"Records a second in the last 5 minutes, at most ");
    html.text(count(most)).raw("\"><polygon points=\"").text(start).raw(",40 ").text(&points);
    html.raw("300,40\"></polygon><polyline points=\"").text(&points).raw("\"></polyline></svg>");
    html.raw("<figcaption><span>5 min ago</span><span>most ")
        .text(count(most))
        .raw("/s</span><span>now</span></figcaption></figure>");
}
