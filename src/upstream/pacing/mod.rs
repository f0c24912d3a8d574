//! Pacing of requests: one governor per upstream and credential, shared by all crawls that request pages there.

mod crawl_line;
mod governors;
mod member_refusal;
mod refused_paths;
mod shared_governor;
#[cfg(test)]
mod tests;
mod traffic;
mod wait_log;

pub(super) use crawl_line::CrawlLine;
pub use governors::Governors;
pub(super) use refused_paths::RefusedPaths;
pub use shared_governor::Permit;
pub use traffic::Traffic;
