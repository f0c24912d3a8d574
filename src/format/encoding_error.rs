//! Error of a record that a format can't express.

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EncodingError {
    pub message: String,
    /// Remedy, as an instruction to the client.
    pub hint: &'static str,
}
