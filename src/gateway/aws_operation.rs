//! Operations of AWS that a request names in a field, a parameter or its path: one that writes would be signed as the operator's.

use http::HeaderMap;
use percent_encoding::percent_decode_str;

use crate::config::Upstream;

/// Starts of the names of operations that only read, as AWS names them.
const READS: [&str; 9] = ["BatchGet", "Describe", "Filter", "Get", "List", "Lookup", "Query", "Scan", "Search"];

/// Services whose paths and parameters are those of the operator's own API, where `action` is a parameter as any other. S3 is none: Ceph takes
/// operations of IAM at the address of its buckets.
const OWN_APIS: [&str; 6] = ["aoss", "appsync", "es", "execute-api", "lambda", "vpc-lattice-svcs"];

/// Places where the client of a signed request names its operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OperationPlaces {
    /// The field `X-Amz-Target` of the JSON protocols, unless the configuration replaces it.
    has_target: bool,
    /// The parameter `Action` of the Query protocol.
    has_action: bool,
    /// An operation that may write, in a path of Smithy's RPC protocol: `/service/NAME/operation/NAME`.
    in_path: Option<String>,
}

impl OperationPlaces {
    /// Returns the places in requests to an upstream; none where they are not signed. The path is the upstream's, where the client names a part of
    /// it.
    pub(super) fn of(upstream: &Upstream, path: Option<&str>) -> Option<Self> {
        let mut keys = upstream.credentials.aws_keys().peekable();
        keys.peek()?;
        let has_action = !keys.all(|keys| OWN_APIS.contains(&&*keys.service));
        let has_target = !upstream.headers.iter().any(|(name, _)| name == "x-amz-target");
        Some(Self { has_target, has_action, in_path: path.filter(|_| has_action).and_then(write_in_path) })
    }

    /// Returns the name in the fields or the path of an operation that may write.
    pub(super) fn write_in_head(&self, fields: &HeaderMap) -> Option<String> {
        let targets = fields.get_all("x-amz-target").iter().filter(|_| self.has_target);
        let mut names = targets.map(|target| operation_of(&String::from_utf8_lossy(target.as_bytes())).to_owned());
        names.find(|name| may_write(name)).or_else(|| self.in_path.clone())
    }

    /// Returns true where a parameter names an operation that may write. Characters around its name are left out, as some readers do.
    pub(super) fn is_write(&self, name: &str, value: &str) -> bool {
        let name = name.trim_matches(|character: char| !character.is_ascii_alphanumeric());
        self.has_action && name.eq_ignore_ascii_case("Action") && may_write(value)
    }
}

/// Returns the name behind the service and its version: `DynamoDB_20120810.Scan`; a target of other characters whole, since it may be a list.
fn operation_of(target: &str) -> &str {
    let is_plain = target.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'));
    target.rsplit('.').next().filter(|_| is_plain).unwrap_or(target)
}

fn write_in_path(path: &str) -> Option<String> {
    let segments: Vec<_> = path.split('/').map(|part| percent_decode_str(part).decode_utf8_lossy()).collect();
    let named = segments.windows(4).filter(|four| four[0] == "service" && four[2] == "operation");
    named.map(|four| four[3].to_string()).find(|name| may_write(name))
}

fn may_write(operation: &str) -> bool {
    let name = operation.trim();
    // Spaces and commas may be those of a list.
    !READS.iter().any(|read| name.starts_with(read)) || !name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
