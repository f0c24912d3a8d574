//! The command line of the bench.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::{Parser, Subcommand};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use unpage_bench::e2e::process::pin_to_first;
use unpage_bench::e2e::{self, Effort, Setting, plans, snapshots};
use unpage_bench::figure::{self, Figure};
use unpage_bench::{check, micro};

/// Measures unpage beside others, as ratios of one run
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    part: Part,
    /// Few rounds over little data: shows that it runs, and nothing more
    #[arg(long, global = true)]
    quick: bool,
    /// End with status 1 if a figure misses what it has to be by more than 15 %
    #[arg(long, global = true)]
    gate: bool,
    /// File for the results as JSON
    #[arg(long, global = true, value_name = "DIR", default_value = "target/bench")]
    out: PathBuf,
    /// The binary under test
    #[arg(long, global = true, value_name = "FILE", default_value = "target/release/unpage")]
    unpage: PathBuf,
    /// nginx, if it is to be compared
    #[arg(long, global = true, value_name = "FILE")]
    nginx: Option<PathBuf>,
    /// A Python with what peers/requirements.txt asks for, if the peers written in it are to be compared
    #[arg(long, global = true, value_name = "FILE")]
    python: Option<PathBuf>,
    /// The folder of the peers' scripts
    #[arg(long, global = true, value_name = "DIR", default_value = "bench/peers")]
    scripts: PathBuf,
}

#[derive(Subcommand)]
enum Part {
    /// Every approach comes to the expected lines
    Check,
    /// The splitter and its rivals in one process
    Micro,
    /// Processor time and throughput beside other proxies
    Proxy,
    /// Slow pages: asked for early, first record, to disk
    Early,
    /// Peak memory
    Memory,
    /// Memory and time of the comparison of keys
    Keys,
    /// Processor time and throughput of streams whose records have a key
    Keyed,
    /// Memory of clients that read nothing
    Crowd,
    /// Streams of one page, and a new process's first record
    Small,
    /// The same proxy with a log in JSON and metrics that are read each second, beside one with neither
    Observed,
    /// Other connections and codings beside HTTP/1.1 in the clear
    Wires,
    /// Fan-out, partitions and pace against an API by script
    Plans {
        /// Parts to run; all by default
        rows: Vec<plans::Row>,
    },
    /// Replay beside a file server, files beside memory alone, readers beside stalled ones
    Snapshots {
        /// Parts to run; all by default
        rows: Vec<snapshots::Row>,
    },
    /// Processor time per record beside other ways to page
    Peers,
    /// A bare reverse proxy, which `proxy` and `memory` start
    Passthrough {
        #[arg(long)]
        upstream: SocketAddr,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let setting = Setting {
        effort: if arguments.quick { Effort::Quick } else { Effort::Full },
        unpage: arguments.unpage,
        nginx: arguments.nginx,
        python: arguments.python,
        scripts: arguments.scripts,
        out: arguments.out,
    };
    fs::create_dir_all(&setting.out)?;
    let (part, (figures, details)) = match arguments.part {
        Part::Check => {
            println!("{}", checked()?);
            return Ok(ExitCode::SUCCESS);
        }
        Part::Passthrough { upstream } => {
            Runtime::new()?.block_on(e2e::passthrough::run(upstream))?;
            return Ok(ExitCode::SUCCESS);
        }
        Part::Micro => ("micro", micro(setting.effort)?),
        Part::Proxy => {
            let pinning = pin_to_first()?;
            ("proxy", Runtime::new()?.block_on(e2e::proxy::run(&setting, pinning))?)
        }
        Part::Early => ("early", Runtime::new()?.block_on(e2e::early::run(&setting))?),
        Part::Memory => ("memory", Runtime::new()?.block_on(e2e::memory::run(&setting))?),
        Part::Keys => ("keys", unpage_bench::keys::run(setting.effort, &setting.out)?),
        Part::Keyed => {
            let pinning = pin_to_first()?;
            ("keyed", Runtime::new()?.block_on(e2e::keyed::run(&setting, pinning))?)
        }
        Part::Crowd => ("crowd", Runtime::new()?.block_on(e2e::crowd::run(&setting))?),
        Part::Small => ("small", Runtime::new()?.block_on(e2e::small::run(&setting))?),
        Part::Observed => {
            let pinning = pin_to_first()?;
            ("observed", Runtime::new()?.block_on(e2e::observed::run(&setting, pinning))?)
        }
        Part::Wires => {
            let pinning = pin_to_first()?;
            ("wires", Runtime::new()?.block_on(e2e::wires::run(&setting, pinning))?)
        }
        Part::Plans { rows } => ("plans", Runtime::new()?.block_on(plans::run(&setting, &rows))?),
        Part::Snapshots { rows } => {
            let pinning = pin_to_first()?;
            ("snapshots", Runtime::new()?.block_on(snapshots::run(&setting, &rows, pinning))?)
        }
        Part::Peers => ("peers", Runtime::new()?.block_on(e2e::peers::run(&setting))?),
    };
    figure::print(&figures);
    let file = setting.out.join(format!("{part}.json"));
    let text = serde_json::to_vec_pretty(&json!({ "figures": figures, "details": details }))?;
    fs::write(&file, text).with_context(|| format!("{} can't be written", file.display()))?;
    let holds = !arguments.gate || figure::hold(&figures);
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn micro(effort: Effort) -> anyhow::Result<(Vec<Figure>, Value)> {
    checked()?;
    let measured = micro::run(effort.pick(micro::Scale::FULL, micro::Scale::QUICK));
    measured.print();
    Ok((measured.figures(), measured.to_json()))
}

fn checked() -> anyhow::Result<String> {
    check::run().map_err(|what| anyhow!(what))
}
