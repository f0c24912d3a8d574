//! Costs of a process: processor time and memory, as the kernel counted them.

use std::fs;
use std::time::Duration;

use anyhow::Context;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::unistd::Pid;

/// The processor time of all threads of a process.
pub fn cpu_of(pid: u32) -> anyhow::Result<Duration> {
    let mut total = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let file = task?.path().join("schedstat");
        // A thread may end between the listing and the look.
        let Ok(text) = fs::read_to_string(file) else { continue };
        total += text.split(' ').next().context("schedstat is empty")?.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(total))
}

/// The processor time of all children that have ended, and of theirs.
pub fn cpu_of_ended_children() -> anyhow::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = [usage.user_time(), usage.system_time()].map(|time| time.tv_sec() * 1_000_000 + time.tv_usec());
    Ok(Duration::from_micros(micros.iter().sum::<i64>().try_into()?))
}

/// The most memory that a process has had, in MiB.
pub fn peak_mib(pid: u32) -> anyhow::Result<f64> {
    status_mib(pid, "VmHWM:")
}

/// The memory that a process has, in MiB.
pub fn resident_mib(pid: u32) -> anyhow::Result<f64> {
    status_mib(pid, "VmRSS:")
}

fn status_mib(pid: u32, field: &str) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let value = status.lines().find_map(|line| line.strip_prefix(field)).with_context(|| format!("no {field}"))?;
    Ok(value.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}

/// True if the proxies have a processor of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pinning {
    /// They have the second one.
    Second,
    /// There is only one, or time is not what is measured.
    Shared,
}

/// Keeps this process to the first processor, so that the proxies have the second one alone.
///
/// Threads take it over from the one that starts them: this must come before the runtime.
pub fn pin_to_first() -> anyhow::Result<Pinning> {
    let this = Pid::from_raw(0);
    let given = sched_getaffinity(this)?;
    if !given.is_set(0)? || !given.is_set(1)? {
        return Ok(Pinning::Shared);
    }
    let mut first = CpuSet::new();
    first.set(0)?;
    sched_setaffinity(this, &first)?;
    Ok(Pinning::Second)
}
