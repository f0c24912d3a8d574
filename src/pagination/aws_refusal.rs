//! Refusals of signed requests by AWS, told apart by the codes and texts of their bodies.

/// Reason for which AWS, or a store that speaks as S3 does, refuses the signature or the keys of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AwsRefusal {
    /// The time of the signature is too far from AWS's.
    Clock,
    /// Temporary keys are past their end.
    Expired,
    /// Region or service are not those of the address.
    Scope,
    /// The secret key is not that of the access key, or the request was changed on its way.
    Signature,
    /// The access key is not known, has characters that no access key has, or lacks its session token.
    AccessKey,
    /// The keys are good, and may not do this.
    Rights,
}

/// Codes and texts of S3's XML, the JSON protocols and API Gateway. The first reason of which one occurs is that of the refusal: an
/// `InvalidSignatureException` may be about the time or the scope.
const WORDS: [(AwsRefusal, &[&str]); 6] = [
    (
        AwsRefusal::Clock,
        &[
            "RequestTimeTooSkewed",
            "RequestExpired",
            "Signature expired",
            "Signature not yet current",
            "date is too skewed",
        ],
    ),
    (AwsRefusal::Expired, &["ExpiredToken", "token included in the request is expired"]),
    (
        AwsRefusal::Scope,
        &["AuthorizationHeaderMalformed", "Credential should be scoped", "credential scope", "region is wrong"],
    ),
    (
        AwsRefusal::Signature,
        &["SignatureDoesNotMatch", "InvalidSignatureException", "request signature we calculated does not match"],
    ),
    (
        AwsRefusal::AccessKey,
        &[
            "InvalidAccessKeyId",
            "InvalidClientTokenId",
            "UnrecognizedClientException",
            "IncompleteSignature",
            "InvalidToken",
            "token included in the request is invalid",
        ],
    ),
    (AwsRefusal::Rights, &["AccessDenied", "not authorized to perform"]),
];

impl AwsRefusal {
    /// Returns the reason that a refusal's body names.
    pub(super) fn of(body: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(body);
        WORDS.iter().find(|(_, words)| words.iter().any(|word| text.contains(word))).map(|(reason, _)| *reason)
    }

    /// Advice for the operator, on one line.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Clock => {
                "AWS refuses the time of the signature, which is this machine's: correct its clock, then fetch again"
            }
            Self::Expired => {
                "the keys of credentials.aws have expired: set access_key, secret_key and session_token to new ones; their files are read again when they change"
            }
            Self::Scope => {
                "AWS wants the signature for another region or service: correct `region` and `service` of credentials.aws"
            }
            Self::Signature => {
                "the signature does not fit: secret_key of credentials.aws is not that of its access_key, or something between unpage and AWS changes the request"
            }
            Self::AccessKey => {
                "AWS does not know access_key of credentials.aws, can't read it (a comma, slash or space in it), or misses its session_token, which temporary keys need"
            }
            Self::Rights => {
                "the keys of credentials.aws are good, but their policy does not allow this request: grant it, or use other keys"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_found_in_each_protocol() {
        use AwsRefusal::{AccessKey, Clock, Expired, Rights, Scope, Signature};
        for (body, reason) in [
            (
                "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between …</Message></Error>",
                Some(Clock),
            ),
            (
                "<Error><Code>SignatureDoesNotMatch</Code><Message>The request signature …</Message></Error>",
                Some(Signature),
            ),
            ("<Error><Code>AuthorizationHeaderMalformed</Code><Message>… the region 'a' is wrong; …", Some(Scope)),
            (
                "{\"__type\":\"com.amazon.coral.service#InvalidSignatureException\",\"message\":\"Signature expired: 20150830T123600Z is now earlier than …\"}",
                Some(Clock),
            ),
            (
                "{\"__type\":\"com.amazon.coral.service#InvalidSignatureException\",\"message\":\"Credential should be scoped to a valid region. \"}",
                Some(Scope),
            ),
            ("{\"__type\":\"com.amazon.coral.service#UnrecognizedClientException\"}", Some(AccessKey)),
            ("<ErrorResponse><Error><Code>IncompleteSignature</Code></Error></ErrorResponse>", Some(AccessKey)),
            ("{\"message\":\"The security token included in the request is expired\"}", Some(Expired)),
            (
                "{\"message\":\"User: arn:aws:iam::1:user/u is not authorized to perform: execute-api:Invoke\"}",
                Some(Rights),
            ),
            ("{\"__type\":\"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException\"}", None),
            ("", None),
        ] {
            assert_eq!(AwsRefusal::of(body.as_bytes()), reason, "{body}");
        }
    }
}
