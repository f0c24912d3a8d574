//! Figures with their goals, as rows of a table and as a gate.

use serde::Serialize;

use crate::spread::{Spread, short};

/// Tolerance of the gate for the noise of a shared machine.
const MARGIN: f64 = 0.15;

/// One figure, seen.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    pub name: String,
    pub goal: Goal,
    pub seen: Spread,
    /// Remark.
    pub note: String,
}

/// Required and desired values of a figure.
#[derive(Clone, Copy, Debug, Serialize)]
pub enum Goal {
    AtLeast(f64, f64),
    AtMost(f64, f64),
    /// Told for comparison only.
    None,
}

impl Figure {
    pub fn new(name: impl Into<String>, goal: Goal, seen: Spread, note: impl Into<String>) -> Self {
        Self { name: name.into(), goal, seen, note: note.into() }
    }

    /// Relation to the goal: reached, missed, or missed within noise.
    pub fn verdict(&self) -> Verdict {
        let share = match self.goal {
            Goal::AtLeast(least, _) => self.seen.median / least,
            Goal::AtMost(most, _) => most / self.seen.median,
            Goal::None => return Verdict::Told,
        };
        if share >= 1.0 {
            Verdict::Reached
        } else if share >= 1.0 - MARGIN {
            Verdict::Near
        } else {
            Verdict::Missed
        }
    }
}

/// Verdict on a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Reached,
    /// Missed by no more than 15 %.
    Near,
    Missed,
    /// There is no goal.
    Told,
}

/// Prints the figures as a table in Markdown.
pub fn print(figures: &[Figure]) {
    println!("\n| figure | at least | aim | seen, median (min–max) | | |\n|---|---|---|---|---|---|");
    for figure in figures {
        let (must, aim) = match figure.goal {
            Goal::AtLeast(must, aim) => (format!("≥ {}", short(must)), format!("≥ {}", short(aim))),
            Goal::AtMost(must, aim) => (format!("≤ {}", short(must)), format!("≤ {}", short(aim))),
            Goal::None => (String::new(), String::new()),
        };
        let verdict = match figure.verdict() {
            Verdict::Reached => "reached",
            Verdict::Near => "missed by < 15 %",
            Verdict::Missed => "**missed**",
            Verdict::Told => "",
        };
        println!("| {} | {must} | {aim} | {} | {verdict} | {} |", figure.name, figure.seen, figure.note);
    }
    println!();
}

/// Returns true if every figure keeps its goal, within noise.
pub fn hold(figures: &[Figure]) -> bool {
    figures.iter().all(|figure| figure.verdict() != Verdict::Missed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_alone_closes_no_gate() {
        let verdict = |goal, seen: f64| Figure::new("", goal, Spread::of(vec![seen]), "").verdict();
        assert_eq!(verdict(Goal::AtLeast(2.0, 3.0), 2.0), Verdict::Reached);
        assert_eq!(verdict(Goal::AtLeast(2.0, 3.0), 1.71), Verdict::Near);
        assert_eq!(verdict(Goal::AtLeast(2.0, 3.0), 1.69), Verdict::Missed);
        assert_eq!(verdict(Goal::AtMost(1.0, 0.5), 1.1), Verdict::Near);
        assert_eq!(verdict(Goal::AtMost(1.0, 0.5), 1.2), Verdict::Missed);
        assert_eq!(verdict(Goal::None, 9.0), Verdict::Told);
    }
}
