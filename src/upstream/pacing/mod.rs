//! Pacing of requests: one governor per upstream and credential, shared by all crawls that request pages there.

mod crawl_line;
mod governors;
mod member_refusal;
mod refused_urls;
mod shared_governor;
#[cfg(test)]
mod tests;
mod traffic;
mod wait_log;

pub(super) use crawl_line::CrawlLine;
pub use governors::Governors;
pub(super) use refused_urls::RefusedUrls;
pub use shared_governor::Permit;
pub use traffic::Traffic;
