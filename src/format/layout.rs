//! Layout of a format: the offsets of its records and its length, in relation to those of the log.

/// A record, counted from 0, and its first byte in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordOffset {
    pub record: u64,
    pub byte: u64,
}

/// Offsets of a format whose records have the bytes of the log, with a constant number of bytes around each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Bytes before the first record.
    pub prefix: &'static str,
    /// Number of bytes that each record has in addition to those of its line.
    pub per_record: u64,
    /// Bytes after the last record.
    pub suffix: &'static str,
    /// Number of bytes of the last line that the suffix takes the place of.
    pub overlap: u64,
}

impl Layout {
    /// Layout of the log itself.
    pub const LOG: Self = Self { prefix: "", per_record: 0, suffix: "", overlap: 0 };

    /// Returns the offset at which an encoder begins that starts with this record. The first record's is that of the prefix.
    pub const fn offset(&self, start: RecordOffset) -> u64 {
        match start.record {
            0 => 0,
            record => self.prefix.len() as u64 + start.byte + self.per_record * record,
        }
    }

    /// Returns the length of the whole, of a complete log with this extent.
    pub const fn length(&self, bytes: u64, records: u64) -> u64 {
        let around = (self.prefix.len() + self.suffix.len()) as u64;
        match records {
            0 => around,
            records => around + bytes + self.per_record * records - self.overlap,
        }
    }
}
