//! Operations of AWS that a request names in a field or parameter: one that writes would be signed as the operator's.

use http::HeaderMap;

/// Starts of the names of operations that only read, as AWS names them.
const READS: [&str; 9] = ["BatchGet", "Describe", "Filter", "Get", "List", "Lookup", "Query", "Scan", "Search"];

/// Places where the client of a signed request names its operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OperationPlaces {
    /// The field `X-Amz-Target` of the JSON protocols, and the parameter `Action` of the Query protocol.
    FieldAndParam,
    /// The parameter alone: the configuration replaces the field.
    Param,
}

impl OperationPlaces {
    /// Returns the name in the field of an operation that may write.
    pub(super) fn write_in_fields(self, fields: &HeaderMap) -> Option<String> {
        let targets = fields.get_all("x-amz-target").iter().filter(|_| self == Self::FieldAndParam);
        let names = targets.map(|target| String::from_utf8_lossy(target.as_bytes()).into_owned());
        // Behind the service and its version: `DynamoDB_20120810.Scan`.
        names.map(|target| target.rsplit('.').next().unwrap_or_default().to_owned()).find(|name| may_write(name))
    }

    /// Returns true where a parameter names an operation that may write.
    pub(super) fn is_write(name: &str, value: &str) -> bool {
        name.eq_ignore_ascii_case("Action") && may_write(value)
    }
}

fn may_write(operation: &str) -> bool {
    !READS.iter().any(|read| operation.trim().starts_with(read))
}
