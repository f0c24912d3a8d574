//! Members that are added to each record of a list: the keys of its parents.

use std::fmt::Write;

use bytes::{Bytes, BytesMut};

use crate::batch::Batch;
use crate::pagination::Path;
use crate::pagination::json_extract::PathSet;
use crate::pagination::path::Segment;

/// Members with their values, which are put in front of a record's own. All other bytes of the record stay.
#[derive(Debug)]
pub struct AddedMembers {
    names: Vec<String>,
    /// `{"name":value,"name":value`.
    front: String,
    paths: PathSet,
}

impl AddedMembers {
    /// Members with these names and JSON values; at least one.
    pub fn new<'a>(members: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let (mut names, mut front) = (Vec::new(), String::new());
        for (name, json) in members {
            let open = if names.is_empty() { "{" } else { "," };
            write!(front, "{open}{}:{json}", serde_json::Value::from(name)).expect("writing to a String never fails");
            names.push(name.to_owned());
        }
        let paths: Vec<_> = names.iter().map(|name| Path::new(vec![Segment::Name(name.clone())])).collect();
        Self { names, front, paths: PathSet::new(&paths.iter().collect::<Vec<_>>()) }
    }

    /// Adds the members to each record.
    ///
    /// # Errors
    /// Fails with a message where a record is no object, or has a member of such a name.
    pub fn add(&self, batch: &Batch) -> Result<Batch, String> {
        let records = usize::try_from(batch.records()).unwrap_or(usize::MAX);
        let mut lines = BytesMut::with_capacity(batch.lines().len() + records.saturating_mul(self.front.len() + 1));
        for line in batch.each() {
            let own = self.check(line)?;
            lines.extend_from_slice(self.front.as_bytes());
            if own.trim_ascii_start().first() != Some(&b'}') {
                lines.extend_from_slice(b",");
            }
            lines.extend_from_slice(own);
        }
        Ok(Batch::new(Bytes::from(lines), batch.records()))
    }

    /// Returns the line behind the record's opening brace.
    fn check<'a>(&self, line: &'a [u8]) -> Result<&'a [u8], String> {
        let own = line.trim_ascii_start().strip_prefix(b"{");
        let own = own.ok_or_else(|| "a record is no object, and `with` adds members to it".to_owned())?;
        let text = std::str::from_utf8(line).map_err(|error| error.to_string())?.trim_ascii();
        let mut found = vec![None; self.names.len()];
        let taken = match self.paths.extract(text, &mut found) {
            Ok(()) => found.iter().position(Option::is_some),
            // The member is there twice, or the record is no JSON; its bytes don't leave.
            Err(error) => return Err(error.to_string()),
        };
        match taken {
            Some(at) => Err(format!("a record has a member {:?} of its own, which `with` adds", self.names[at])),
            None => Ok(own),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(lines: &str) -> Batch {
        Batch::new(Bytes::copy_from_slice(lines.as_bytes()), lines.lines().count() as u64)
    }

    #[test]
    fn members_stand_in_front_and_every_other_byte_stays() {
        let members = AddedMembers::new([("issue", "5"), ("re\"po", "\"x\\u0079\"")]);
        let added = members.add(&batch("{\"id\": 1.0, \"a\":1,\"a\":2 }\n{ }\n{}\n{\"b\":{\"issue\":1}}\n")).unwrap();
        let front = "{\"issue\":5,\"re\\\"po\":\"x\\u0079\"";
        let expected = format!(
            "{front},\"id\": 1.0, \"a\":1,\"a\":2 }}\n{front} }}\n{front}}}\n{front},\"b\":{{\"issue\":1}}}}\n"
        );
        assert_eq!((added.lines(), added.records()), (&Bytes::from(expected.clone()), 4));
        for line in expected.lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
    }

    #[test]
    fn a_member_of_that_name_and_a_record_that_is_no_object_are_errors() {
        let members = AddedMembers::new([("issue", "5")]);
        for line in
            ["{\"issue\":1}\n", "{\"a\":1,\"iss\\u0075e\":null}\n", "[1]\n", "7\n", "{\"issue\":1,\"issue\":2}\n"]
        {
            assert!(members.add(&batch(line)).is_err(), "{line}");
        }
        assert!(members.add(&batch("{\"a\":1}\n{\"issue\":1}\n")).unwrap_err().contains("\"issue\""));
    }
}
