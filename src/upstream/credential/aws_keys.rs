//! Keys of AWS, each read again where its file has changed.

use std::sync::Arc;

use http::StatusCode;

use super::followed_secret::FollowedSecret;
use super::placed_secret::{AwsSigner, PlacedSecret};
use crate::config::{AwsKeys, SecretPlace};

/// Keys of the configuration, or the newest ones of their files.
#[derive(Debug)]
pub(super) struct FollowedAwsKeys {
    service: Arc<str>,
    region: Arc<str>,
    access_key: FollowedSecret,
    secret_key: FollowedSecret,
    session_token: Option<FollowedSecret>,
}

impl FollowedAwsKeys {
    pub(super) fn new(keys: &AwsKeys) -> Self {
        let session_token = keys.session_token.as_ref();
        Self {
            service: keys.service.as_str().into(),
            region: keys.region.as_str().into(),
            access_key: FollowedSecret::new(&SecretPlace::AWS_SIGNATURE, &keys.access_key),
            secret_key: FollowedSecret::unplaced(&keys.secret_key),
            session_token: session_token.map(|token| FollowedSecret::new(&SecretPlace::AWS_SESSION_TOKEN, token)),
        }
    }

    /// Returns the keys for a request that is sent now.
    pub(super) fn current(&self) -> Arc<PlacedSecret> {
        let signer = AwsSigner {
            service: Arc::clone(&self.service),
            region: Arc::clone(&self.region),
            access_key: self.access_key.current(),
            secret_key: self.secret_key.current(),
            session_token: self.session_token.as_ref().map(FollowedSecret::current),
        };
        Arc::new(PlacedSecret::signing(signer))
    }

    /// Returns newer keys of the files, after a request that was signed with `sent` was refused (401, or 400 and 403 as AWS does); `None` for
    /// another status, and where no file has other keys.
    pub(super) fn after(&self, sent: &PlacedSecret, status: StatusCode) -> Option<Arc<PlacedSecret>> {
        let is_refusal = matches!(status.as_u16(), 400 | 401 | 403);
        let signer = sent.signer().filter(|_| is_refusal)?;
        let session_token = self.session_token.as_ref().zip(signer.session_token.as_ref());
        // Each file is looked at, since they change together.
        let others = [
            self.access_key.after(&signer.access_key).is_some(),
            self.secret_key.after(&signer.secret_key).is_some(),
            session_token.is_some_and(|(token, sent)| token.after(sent).is_some()),
        ];
        others.contains(&true).then(|| self.current())
    }

    pub(super) fn secrets(&self) -> Vec<String> {
        let secrets = [Some(&self.access_key), Some(&self.secret_key), self.session_token.as_ref()];
        secrets.into_iter().flatten().flat_map(FollowedSecret::secrets).collect()
    }
}
