//! Metrics of the build and, on Linux, of the process, by the names that Prometheus' client libraries give them.

use std::fmt;
use std::fs;

use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType::{Counter, Gauge};
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use super::family::family;

/// Figures of `/proc/self/stat` and its neighbours.
#[derive(Debug, PartialEq)]
struct ProcessFigures {
    cpu_seconds: f64,
    started: f64,
    virtual_bytes: u64,
    resident_bytes: u64,
    threads: u64,
    descriptors: u64,
}

pub(super) fn encode(encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    family(
        encoder,
        Gauge,
        "unpage_build_info",
        "Version of unpage; the value is 1.",
        [([("version", version)], 1_u64)],
    )?;
    let Some(figures) = ProcessFigures::read() else { return Ok(()) };
    let ProcessFigures { cpu_seconds, started, virtual_bytes, resident_bytes, threads, descriptors } = figures;
    let help = "CPU time of the process in user and kernel mode, in seconds.";
    family(encoder, Counter, "process_cpu_seconds_total", help, [([], cpu_seconds)])?;
    let help = "Start of the process, in seconds since 1970.";
    family(encoder, Gauge, "process_start_time_seconds", help, [([], started)])?;
    family(encoder, Gauge, "process_virtual_memory_bytes", "Virtual memory in bytes.", [([], virtual_bytes)])?;
    family(encoder, Gauge, "process_resident_memory_bytes", "Resident memory in bytes.", [([], resident_bytes)])?;
    family(encoder, Gauge, "process_threads", "Threads of the process.", [([], threads)])?;
    family(encoder, Gauge, "process_open_fds", "Open file descriptors.", [([], descriptors)])?;
    // Without a limit there is no sample.
    let limit = getrlimit(Resource::Nofile).current.map(|limit| ([], limit));
    family(encoder, Gauge, "process_max_fds", "Most file descriptors that may be open.", limit)
}

impl ProcessFigures {
    /// Reads the figures; none where the system has no such files.
    fn read() -> Option<Self> {
        let boot = fs::read_to_string("/proc/stat").ok()?;
        let boot = boot.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
        let descriptors = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
        Self::parse(&fs::read_to_string("/proc/self/stat").ok()?, boot, descriptors)
    }

    /// Parses `/proc/self/stat` (proc(5)). `boot` is in seconds since 1970.
    fn parse(stat: &str, boot: f64, descriptors: u64) -> Option<Self> {
        // The second field, a name in parentheses, may have spaces and parentheses.
        let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let seconds = |ticks: u64| ticks as f64 / clock_ticks_per_second() as f64;
        Some(Self {
            cpu_seconds: seconds(field(14)? + field(15)?),
            started: boot + seconds(field(22)?),
            virtual_bytes: field(23)?,
            resident_bytes: field(24)? * page_size() as u64,
            threads: field(20)?,
            descriptors,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_process_moves_no_field() {
        let ticks = clock_ticks_per_second();
        let fields = "S 1 2 3 4 5 6 7 8 9 10 TICKS TICKS 13 14 15 16 17 18 TICKS 4096 3 0";
        let stat = format!("7 (a) b (c)) {}", fields.replace("TICKS", &ticks.to_string()));
        let figures = ProcessFigures::parse(&stat, 1000.0, 9);
        let expected = ProcessFigures {
            cpu_seconds: 2.0,
            started: 1001.0,
            virtual_bytes: 4096,
            resident_bytes: 3 * page_size() as u64,
            threads: 17,
            descriptors: 9,
        };
        assert_eq!(figures, Some(expected));
        assert_eq!(ProcessFigures::parse("7 (a) S 1", 0.0, 0), None);
    }
}
