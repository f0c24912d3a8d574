//! The look-up of the upstream's name: the addresses that pass the check are those that the connector dials, without a second look-up.

use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::vec;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hyper_util::client::legacy::connect::dns::Name;
use tower::{BoxError, Service};

use crate::config::{AddressKind, PrivateAddresses};

/// A resolver whose answers are checked.
#[derive(Clone, Debug)]
pub(super) struct CheckedResolver<R> {
    resolver: R,
    private: PrivateAddresses,
}

/// Error of a name all of whose addresses are refused. It shows none of them: the message reaches clients, which could map a network by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its name has {}, which is not dialled", .0.name())]
pub(super) struct RefusedAddress(pub(super) AddressKind);

/// Error of a name that has no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct UnknownName(String);

/// Tells a name without an address from a look-up that may succeed a moment later (`EAI_AGAIN`). std keeps no code of `getaddrinfo`, but the
/// text of `gai_strerror`, which is in English: neither std nor unpage calls `setlocale`. An unknown text is one that may pass.
fn look_up_error(error: BoxError) -> BoxError {
    const NO_ADDRESS: [&str; 5] = [
        "Name or service not known",
        "No address associated with hostname",
        "Name does not resolve",
        "Name has no usable address",
        "nodename nor servname provided, or not known",
    ];
    let text = error.to_string();
    if NO_ADDRESS.iter().any(|phrase| text.ends_with(phrase)) { UnknownName(text).into() } else { error }
}

impl<R> CheckedResolver<R> {
    pub(super) fn new(resolver: R, private: PrivateAddresses) -> Self {
        Self { resolver, private }
    }
}

impl<R> Service<Name> for CheckedResolver<R>
where
    R: Service<Name>,
    R::Response: Iterator<Item = SocketAddr>,
    R::Error: Into<BoxError>,
    R::Future: Send + 'static,
{
    type Response = vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.resolver.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let private = self.private;
        let looked_up = self.resolver.call(name.clone());
        let checked = async move {
            let (mut passed, mut refused) = (Vec::new(), None);
            for address in looked_up.await.map_err(|error| look_up_error(error.into()))? {
                match private.check(address.ip()) {
                    Ok(()) => passed.push(address),
                    Err(kind) => {
                        tracing::warn!("{name} has the address {}, which is not dialled", address.ip());
                        refused = Some(kind);
                    }
                }
            }
            match refused {
                Some(kind) if passed.is_empty() => Err(RefusedAddress(kind).into()),
                _ => Ok(passed.into_iter()),
            }
        };
        checked.boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::Uri;
    use hyper_util::client::legacy::connect::HttpConnector;
    use tokio::net::TcpListener;
    use tower::{ServiceExt, service_fn};

    use super::*;

    /// A resolver that gives these answers in turn, and the number of its look-ups.
    fn flipping(
        answers: &'static [&'static [&'static str]],
    ) -> (
        impl Service<Name, Response = vec::IntoIter<SocketAddr>, Error = Infallible, Future: Send + 'static> + Clone + Send,
        Arc<AtomicUsize>,
    ) {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let resolver = service_fn(move |_: Name| {
            let answer = answers[counted.fetch_add(1, Ordering::Relaxed) % answers.len()];
            let answer: Vec<_> = answer.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 0)).collect();
            async move { Ok(answer.into_iter()) }
        });
        (resolver, count)
    }

    /// The upstream, and a canary at an address that `0.0.0.0` and its like lead to, on one port.
    async fn upstream_and_canary() -> (TcpListener, TcpListener) {
        loop {
            let canary = TcpListener::bind("127.0.0.1:0").await.unwrap();
            if let Ok(upstream) = TcpListener::bind(("127.0.0.2", canary.local_addr().unwrap().port())).await {
                return (upstream, canary);
            }
        }
    }

    #[tokio::test]
    async fn a_name_that_flips_between_look_ups_never_leads_to_a_refused_address() {
        const ANSWERS: &[&[&str]] = &[
            &["127.0.0.2"],
            &["0.0.0.0"],
            &["0.0.0.0", "127.0.0.2"],
            &["::ffff:0.0.0.0"],
            &["169.254.169.254", "fd00:ec2::254", "::"],
            &["::ffff:0.0.0.0", "0.0.0.0", "127.0.0.2", "64:ff9b::a9fe:a9fe"],
        ];
        let (upstream, canary) = upstream_and_canary().await;
        let uri: Uri = format!("http://api.example:{}/", upstream.local_addr().unwrap().port()).parse().unwrap();
        let (bare, _) = flipping(&[&["0.0.0.0"]]);
        HttpConnector::new_with_resolver(bare).oneshot(uri.clone()).await.expect("the canary can be reached");
        drop(canary.accept().await.unwrap());

        let (resolver, look_ups) = flipping(ANSWERS);
        let connector = HttpConnector::new_with_resolver(CheckedResolver::new(resolver, PrivateAddresses::Allow));
        let (mut dialled, mut refused) = (0, 0);
        for _ in 0..1000 {
            match connector.clone().oneshot(uri.clone()).await {
                Ok(connection) => {
                    assert_eq!(connection.inner().peer_addr().unwrap().ip().to_string(), "127.0.0.2");
                    drop(upstream.accept().await.unwrap());
                    dialled += 1;
                }
                Err(error) => {
                    assert!(super::super::error::cause::<RefusedAddress>(&error).is_some(), "{error:?}");
                    refused += 1;
                }
            }
        }
        assert_eq!((dialled, refused), (500, 500));
        assert_eq!(look_ups.load(Ordering::Relaxed), 1000, "what was checked is dialled: no second look-up");
        // Connections wait in order: were there an earlier one, it would be accepted first.
        let ours = tokio::net::TcpStream::connect(canary.local_addr().unwrap()).await.unwrap();
        assert_eq!(canary.accept().await.unwrap().1, ours.local_addr().unwrap());
    }
}
