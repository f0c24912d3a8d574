//! Number of requests in progress.

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InProgress {
    pub all: usize,
    /// Streams, each of which can be resumed at its byte when it is cut.
    pub streams: usize,
    pub websockets: usize,
}
