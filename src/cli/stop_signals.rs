//! Signals of the operating system: the first one to stop, the second one to stop at once, and those that must not end a server.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// SIGINT and SIGTERM, caught from the call on, because a script may stop unpage as soon as it listens.
#[derive(Debug)]
pub(super) struct StopSignals {
    pub(super) first: CancellationToken,
    pub(super) second: CancellationToken,
}

impl StopSignals {
    /// # Panics
    /// Panics outside a tokio runtime.
    pub(super) fn catch() -> Self {
        let [mut interrupt, mut terminate] =
            [("SIGINT", SignalKind::interrupt()), ("SIGTERM", SignalKind::terminate())].map(caught);
        let (first, second) = (CancellationToken::new(), CancellationToken::new());
        let signals = Self { first: first.clone(), second: second.clone() };
        tokio::spawn(async move {
            for token in [first, second] {
                tokio::select! {
                    () = next(&mut interrupt) => {}
                    () = next(&mut terminate) => {}
                }
                token.cancel();
            }
        });
        signals
    }
}

/// Resolves on the first signal to stop.
pub(super) fn stopped() -> impl Future<Output = ()> + Send + use<> {
    StopSignals::catch().first.cancelled_owned()
}

/// SIGHUP, caught from the call on: each asks for a reload.
#[derive(Debug)]
pub(super) struct HangUps(Option<Signal>);

impl HangUps {
    /// # Panics
    /// Panics outside a tokio runtime.
    pub(super) fn catch() -> Self {
        Self(caught(("SIGHUP", SignalKind::hangup())))
    }

    pub(super) async fn next(&mut self) {
        next(&mut self.0).await;
    }
}

/// Catches the other signals that would end a server.
pub(super) fn outlive_others() {
    let others = [("SIGUSR1", SignalKind::user_defined1()), ("SIGUSR2", SignalKind::user_defined2())];
    for (name, kind) in others {
        let mut signal = caught((name, kind));
        tokio::spawn(async move {
            loop {
                next(&mut signal).await;
                tracing::warn!("{name} changes nothing; SIGHUP reads the configuration file again");
            }
        });
    }
}

fn caught((name, kind): (&str, SignalKind)) -> Option<Signal> {
    signal(kind).inspect_err(|error| tracing::warn!("{name} can't be caught: {error}")).ok()
}

async fn next(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}
