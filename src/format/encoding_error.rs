//! Error of a record that a format can't express.

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EncodingError {
    pub message: String,
    /// Remedy, as an instruction to the client.
    pub hint: &'static str,
}

/// Error of a record, counted from 0, of which no cells can be made.
pub(super) fn no_json(record: u64) -> EncodingError {
    EncodingError {
        message: format!("record {record}, counted from 0, is no JSON value"),
        hint: "ask for `ndjson`, which passes it on as it is; validate = \"full\" in the [[collection]] refuses such pages",
    }
}
