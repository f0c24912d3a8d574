//! `unpage presets [NAME]`.

use std::io::{self, Write};

use super::Exit;
use crate::config::{Preset, presets};

const EXAMPLES: &str = "Examples:
  unpage presets
  unpage presets github
  unpage fetch --preset gitea https://codeberg.org/api/v1/repos/forgejo/forgejo/issues";

#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub(super) struct PresetsArguments {
    /// Preset to show; without one all are listed
    name: Option<String>,
}

pub(super) fn run(arguments: &PresetsArguments) -> Exit {
    let shown = match arguments.name.as_deref() {
        None => list(),
        Some(name) => match Preset::named(name) {
            Some(preset) => show(preset),
            None => {
                eprintln!("error: unknown preset {name:?}\nhint: `unpage presets` lists them");
                return Exit::Usage;
            }
        },
    };
    match shown {
        Ok(()) => Exit::Complete,
        Err(_) => Exit::Output,
    }
}

fn list() -> io::Result<()> {
    let mut out = io::stdout().lock();
    presets().iter().try_for_each(|Preset { name, verified, about, .. }| {
        writeln!(out, "{name:<20} {:<11} {about}", verified.name())
    })
}

/// Writes a preset's file, and those that it completes.
fn show(preset: &Preset) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let lacks: Vec<_> = preset.lacks().map(|key| format!("`{key}`")).collect();
    if !lacks.is_empty() {
        let (keys, are) = (lacks.join(" and "), if lacks.len() == 1 { "differs" } else { "differ" });
        writeln!(
            out,
            "# Add {keys} to the [[collection]] (fetch: an option of the same name): {are} from list to list.\n"
        )?;
    }
    let mut shown = Some(preset);
    while let Some(Preset { name, text, extends, .. }) = shown {
        shown = extends.as_deref().and_then(Preset::named);
        let below = if shown.is_some() { "\n" } else { "" };
        write!(out, "# preset = \"{name}\"\n{text}{below}")?;
    }
    Ok(())
}
