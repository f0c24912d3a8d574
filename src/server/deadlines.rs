//! Deadlines of a connection: from the facts of a moment to its next step. Pure: the clock and the socket are the timer's.

use std::time::Duration;

use super::closed_connections::CloseReason;
use super::limits::ServerLimits;

/// Time for a connection without a request to end by itself after GOAWAY, or after its last response.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// Longest time of that for a connection whose bytes still move.
const LONGEST_LINGER: Duration = Duration::from_secs(5);

/// Time for resets and last bytes to leave, and to be read by themselves, before a cut connection is dropped.
pub(super) const CUT_FLUSH: Duration = Duration::from_millis(500);

/// Step that a connection has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    ProxyHeader,
    Handshake,
    /// The version of HTTP is not known yet.
    FirstByte,
    Http1,
    Http2,
    /// Another protocol, after a 101.
    Upgraded,
}

/// Kind of a response, which decides on the time that its client may stand still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResponseKind {
    Passed,
    Stream,
}

/// A connection at one moment. Times are since its begin.
#[derive(Clone, Debug)]
pub(super) struct ConnectionFacts {
    pub(super) now: Duration,
    pub(super) stage: Stage,
    /// Begin of the stage, end of the last response, or last bytes of an upgraded connection.
    pub(super) quiet_since: Duration,
    /// First byte after `quiet_since`.
    pub(super) head_since: Option<Duration>,
    pub(super) write_blocked_since: Option<Duration>,
    pub(super) last_kind: ResponseKind,
    /// Responses in progress, each with the time since which its client has taken none of its bytes.
    pub(super) responses: Vec<(ResponseKind, Option<Duration>)>,
    /// Bytes were written, or read to be dropped, since the facts of the moment before.
    pub(super) has_moved: bool,
    pub(super) finishing_since: Option<Duration>,
    pub(super) is_evicted: bool,
    pub(super) cut_since: Option<Duration>,
    /// Age at which the connection takes no further request.
    pub(super) last_age: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextStep {
    Wait(Duration),
    /// It takes no further request, and ends after the responses in progress.
    Finish(CloseReason),
    Close(CloseReason),
}

impl ConnectionFacts {
    /// Returns true for a connection that no request needs.
    pub(super) fn is_idle(&self) -> bool {
        self.responses.is_empty() && self.write_blocked_since.is_none() && self.stage != Stage::Upgraded
    }

    pub(super) fn next_step(&self, limits: &ServerLimits) -> NextStep {
        let now = self.now;
        if let Some(since) = self.cut_since {
            return due(now, since + CUT_FLUSH, NextStep::Close(CloseReason::Drain));
        }
        let write_limit = |kind| match kind {
            ResponseKind::Passed => limits.write,
            ResponseKind::Stream => limits.stream_write,
        };
        let mut next = now + if self.finishing_since.is_some() { LINGER } else { limits.shortest() };
        if let Some(since) = self.write_blocked_since {
            match due(now, since + write_limit(self.last_kind), NextStep::Close(CloseReason::Write)) {
                NextStep::Wait(until) => next = next.min(until),
                close => return close,
            }
        }
        if self.stage == Stage::Upgraded {
            match due(now, self.quiet_since + limits.websocket_idle, NextStep::Close(CloseReason::Websocket)) {
                NextStep::Wait(until) => next = next.min(until),
                close => return close,
            }
        }
        if self.stage == Stage::Http2 && !self.responses.is_empty() {
            let stalled = |(kind, since): &(ResponseKind, Option<Duration>)| {
                since.is_some_and(|since| now >= since + write_limit(*kind))
            };
            let count = self.responses.iter().filter(|response| stalled(response)).count();
            // Dropping one stream would reset it by CANCEL, which some clients take for its end: only the connection can be cut, and
            // it is when the responses that move have ended.
            if count == self.responses.len() {
                return NextStep::Close(CloseReason::Write);
            }
            if count > 0 && self.finishing_since.is_none() {
                return NextStep::Finish(CloseReason::Write);
            }
            let waits = self.responses.iter().filter_map(|(kind, since)| Some((*since)? + write_limit(*kind)));
            next = waits.filter(|until| *until > now).fold(next, Duration::min);
        }
        if self.is_idle() {
            match self.idle_step(limits) {
                NextStep::Wait(until) => next = next.min(until),
                other => return other,
            }
        }
        if let (Some(age), None) = (self.last_age, self.finishing_since) {
            if now >= age {
                return NextStep::Finish(CloseReason::Age);
            }
            next = next.min(age);
        }
        NextStep::Wait(next)
    }

    fn idle_step(&self, limits: &ServerLimits) -> NextStep {
        let now = self.now;
        let is_goaway_needed = self.stage == Stage::Http2 && self.finishing_since.is_none();
        let end = |reason| if is_goaway_needed { NextStep::Finish(reason) } else { NextStep::Close(reason) };
        // At once, since another connection waits for its place, and no request is lost.
        if self.is_evicted {
            return NextStep::Close(CloseReason::Full);
        }
        if let Some(since) = self.finishing_since {
            let quiet = since.max(self.quiet_since);
            // The last bytes of an HTTP/2 response may still wait for the client's window.
            if self.has_moved && now >= quiet + LINGER && now < quiet + LONGEST_LINGER {
                return NextStep::Wait(now + LINGER);
            }
            return due(now, quiet + LINGER, NextStep::Close(CloseReason::Drain));
        }
        match (self.stage, self.head_since) {
            (Stage::ProxyHeader, _) => NextStep::Wait(now + limits.shortest()),
            (Stage::Handshake, _) => {
                due(now, self.quiet_since + limits.handshake, NextStep::Close(CloseReason::Handshake))
            }
            (Stage::FirstByte | Stage::Http1, Some(since)) => {
                due(now, since + limits.head, NextStep::Close(CloseReason::Head))
            }
            (Stage::FirstByte, None) => {
                due(now, self.quiet_since + limits.first_byte, NextStep::Close(CloseReason::FirstByte))
            }
            (Stage::Http1 | Stage::Http2 | Stage::Upgraded, _) => {
                due(now, self.quiet_since + limits.idle, end(CloseReason::Idle))
            }
        }
    }
}

fn due(now: Duration, at: Duration, step: NextStep) -> NextStep {
    if now >= at { step } else { NextStep::Wait(at) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// An HTTP/1.1 connection whose last response ended after 5 s, at 10 s.
    fn facts(stage: Stage) -> ConnectionFacts {
        ConnectionFacts {
            now: s(10),
            stage,
            quiet_since: s(5),
            head_since: None,
            write_blocked_since: None,
            last_kind: ResponseKind::Passed,
            responses: Vec::new(),
            has_moved: false,
            finishing_since: None,
            is_evicted: false,
            cut_since: None,
            last_age: None,
        }
    }

    #[test]
    fn each_stage_has_its_limit() {
        use CloseReason as R;
        let cases: [(Stage, Option<u64>, u64, NextStep); 8] = [
            (Stage::Handshake, None, 15, NextStep::Close(R::Handshake)),
            (Stage::FirstByte, None, 15, NextStep::Close(R::FirstByte)),
            (Stage::FirstByte, Some(9), 19, NextStep::Close(R::Head)),
            (Stage::Http1, Some(9), 19, NextStep::Close(R::Head)),
            (Stage::Http1, None, 65, NextStep::Close(R::Idle)),
            // Frames of a client that asks for nothing don't make it busy.
            (Stage::Http2, Some(64), 65, NextStep::Finish(R::Idle)),
            (Stage::Http2, None, 65, NextStep::Finish(R::Idle)),
            (Stage::Http1, Some(5), 15, NextStep::Close(R::Head)),
        ];
        for (stage, head, at, step) in cases {
            let head_since = head.map(s);
            let before = ConnectionFacts { now: s(at) - Duration::from_millis(1), head_since, ..facts(stage) };
            let limits = ServerLimits::default();
            assert_eq!(before.next_step(&limits), NextStep::Wait(s(at)), "{stage:?} {head:?}");
            assert_eq!(ConnectionFacts { now: s(at), ..before }.next_step(&limits), step, "{stage:?} {head:?}");
        }
    }

    #[test]
    fn a_limit_that_begins_later_is_never_overslept() {
        let limits = ServerLimits::default();
        // Idle for 60 s, but a head that begins the next moment has 10 s.
        assert_eq!(facts(Stage::Http1).next_step(&limits), NextStep::Wait(s(20)));
        let busy = ConnectionFacts { responses: vec![(ResponseKind::Stream, None)], ..facts(Stage::Http1) };
        assert_eq!(busy.next_step(&limits), NextStep::Wait(s(20)));
        assert_eq!(ConnectionFacts { now: s(100_000), ..busy }.next_step(&limits), NextStep::Wait(s(100_010)));
    }

    #[test]
    fn a_client_that_reads_nothing_has_a_minute_and_that_of_a_stream_five() {
        let limits = ServerLimits::default();
        for (last_kind, limit) in [(ResponseKind::Passed, 60), (ResponseKind::Stream, 300)] {
            // With the response in progress, or its end in hyper's buffer.
            for responses in [vec![(last_kind, Some(s(7)))], Vec::new()] {
                let write_blocked_since = Some(s(8));
                let blocked = ConnectionFacts { last_kind, responses, write_blocked_since, ..facts(Stage::Http1) };
                let at = |seconds| ConnectionFacts { now: s(seconds), ..blocked.clone() }.next_step(&limits);
                assert!(matches!(at(7 + limit), NextStep::Wait(_)));
                assert_eq!(at(8 + limit), NextStep::Close(CloseReason::Write));
            }
        }
    }

    #[test]
    fn a_stalled_stream_ends_its_connection_when_the_others_are_done() {
        let limits = ServerLimits::default();
        let stalled = (ResponseKind::Stream, Some(s(10)));
        let at = |responses: &[(ResponseKind, Option<Duration>)], finishing_since| {
            let responses = responses.to_vec();
            ConnectionFacts { now: s(310), responses, finishing_since, ..facts(Stage::Http2) }.next_step(&limits)
        };
        assert_eq!(at(&[stalled], None), NextStep::Close(CloseReason::Write));
        for other in [None, Some(s(309))] {
            let both = [stalled, (ResponseKind::Stream, other)];
            assert_eq!(at(&both, None), NextStep::Finish(CloseReason::Write));
            assert_eq!(at(&both, Some(s(310))), NextStep::Wait(s(311)));
        }
        assert_eq!(at(&[stalled, stalled], Some(s(310))), NextStep::Close(CloseReason::Write));
    }

    #[test]
    fn what_no_request_needs_ends_a_second_after_the_stop_and_what_one_needs_does_not() {
        let limits = ServerLimits::default();
        for stage in [Stage::Handshake, Stage::FirstByte, Stage::Http1, Stage::Http2] {
            let stopping = ConnectionFacts { finishing_since: Some(s(10)), head_since: Some(s(9)), ..facts(stage) };
            assert_eq!(stopping.next_step(&limits), NextStep::Wait(s(11)), "{stage:?}");
            let later = ConnectionFacts { now: s(11), ..stopping };
            assert_eq!(later.next_step(&limits), NextStep::Close(CloseReason::Drain), "{stage:?}");
            let writes = ConnectionFacts { has_moved: true, ..later.clone() };
            assert_eq!(writes.next_step(&limits), NextStep::Wait(s(12)), "{stage:?}");
            let writes_on = ConnectionFacts { now: s(15), ..writes };
            assert_eq!(writes_on.next_step(&limits), NextStep::Close(CloseReason::Drain), "{stage:?}");
            let busy = ConnectionFacts { responses: vec![(ResponseKind::Stream, None)], ..later };
            assert_eq!(busy.next_step(&limits), NextStep::Wait(s(12)), "{stage:?}");
        }
        let upgraded = ConnectionFacts { now: s(99), finishing_since: Some(s(10)), ..facts(Stage::Upgraded) };
        assert_eq!(upgraded.next_step(&limits), NextStep::Wait(s(100)));
        let cut = ConnectionFacts { cut_since: Some(s(10)), ..upgraded };
        assert_eq!(cut.next_step(&limits), NextStep::Close(CloseReason::Drain));
    }

    #[test]
    fn an_old_connection_takes_no_further_request_and_only_idle_ones_give_way() {
        let limits = ServerLimits::default();
        let busy = ConnectionFacts { responses: vec![(ResponseKind::Stream, None)], ..facts(Stage::Http1) };
        let old = ConnectionFacts { last_age: Some(s(10)), ..busy.clone() };
        assert_eq!(old.next_step(&limits), NextStep::Finish(CloseReason::Age));
        assert_eq!(ConnectionFacts { last_age: Some(s(12)), ..busy.clone() }.next_step(&limits), NextStep::Wait(s(12)));
        assert_eq!(ConnectionFacts { is_evicted: true, ..busy }.next_step(&limits), NextStep::Wait(s(20)));
        for stage in [Stage::FirstByte, Stage::Http1, Stage::Http2] {
            let idle = ConnectionFacts { is_evicted: true, ..facts(stage) };
            assert_eq!(idle.next_step(&limits), NextStep::Close(CloseReason::Full), "{stage:?}");
        }
    }
}
