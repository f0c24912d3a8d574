//! States of the server for the service manager.

use sd_notify::NotifyState;

/// Tells the service manager, where one asks for it by `NOTIFY_SOCKET`.
pub(super) fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!("the service manager can't be told: {error}");
    }
}

/// Tells the service manager that a reload began (`Type=notify-reload`), at a time of the monotonic clock.
pub(super) fn tell_reloading() {
    notify(NotifyState::Reloading);
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        notify(now);
    }
}
