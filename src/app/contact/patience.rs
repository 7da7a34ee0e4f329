//! How long it is tried to make a lost connection anew, and the waits between.

use super::Why;
use crate::io::clock;
use crate::io::driver::{self, Application};
use crate::io::events::windowed::UploadNote;
use crate::io::events::{Note, Report};
use crate::io::signals::Interrupt;
use crate::io::udp::Wire;
use crate::session::{Machine, Transmit, Via};
use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// What is left of it.
#[derive(Debug)]
pub(in crate::app) struct Patience {
    /// A trouble may last so long.
    most: Duration,
    /// When the trouble began, and how often it was tried since.
    trouble: Option<(Instant, u32)>,
    /// When there was a connection last, if that has not been lost since.
    connected: Option<Instant>,
}

impl Patience {
    /// For troubles that last so long.
    pub(in crate::app) fn new(most: Duration) -> Self {
        Self { most, trouble: None, connected: None }
    }

    /// There is a connection.
    pub(in crate::app) fn on_connected(&mut self, now: Instant) {
        self.connected = Some(now);
    }

    /// Whether there was a connection that is made anew.
    pub(in crate::app) fn is_tried(&self) -> bool {
        self.trouble.is_some()
    }

    /// How long a handshake may take that is usually given so long.
    pub(in crate::app) fn handshake(&self, usual: Duration, now: Instant) -> Duration {
        let left = |(since, _): (Instant, u32)| (since + self.most).saturating_duration_since(now);
        self.trouble.map_or(usual, |trouble| usual.min(left(trouble).max(SHORTEST)))
    }

    /// A connection, or another attempt, came to nothing, for this reason: says so and waits. Within, the reason to give up.
    ///
    /// # Errors
    /// When a socket fails for good, or nobody reads the report any more.
    pub(in crate::app) fn wait(
        &mut self,
        why: Why,
        wire: &mut Wire,
        (report, interrupt): (&mut dyn Report, &Interrupt),
    ) -> io::Result<Result<(), Why>> {
        let now = clock::now();
        let Some((attempt, pause)) = self.on_lost(now) else { return Ok(Err(why)) };
        report.note(&Note::Uploading(UploadNote::Reconnecting { attempt, seconds: pause.as_secs() }))?;
        let mut waiting = Waiting { until: now + pause, interrupt };
        let interrupted = driver::run(wire, &mut Idle, &mut waiting)?;
        Ok(interrupted.map_or(Ok(()), |code| Err(("interrupted".into(), code))))
    }

    /// Which attempt comes next, counted from 1, and after how long; `None` if there is to be none.
    fn on_lost(&mut self, now: Instant) -> Option<(u32, Duration)> {
        // One that held for a while ends a trouble; one that breaks at once is part of it.
        let held = self.connected.take().map(|connected| now.saturating_duration_since(connected));
        let (since, tried) = self.trouble.filter(|_| held.is_none_or(|held| held < LONGEST)).unwrap_or((now, 0));
        let pause = SHORTEST.saturating_mul(1 << tried.min(5)).min(LONGEST);
        self.trouble = Some((since, tried.saturating_add(1)));
        (now + pause <= since + self.most).then_some((tried.saturating_add(1), pause))
    }
}

/// Nobody is spoken to.
struct Idle;

impl Machine for Idle {
    fn handle_datagram(&mut self, _via: Via, _from: SocketAddr, _datagram: &[u8], _now: Instant) {}

    fn handle_timeout(&mut self, _now: Instant) {}

    fn poll_transmit(&mut self, _now: Instant) -> Option<Transmit> {
        None
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
}

/// Until then, or until somebody does not want to wait any more.
struct Waiting<'a> {
    until: Instant,
    interrupt: &'a Interrupt,
}

impl Application<Idle> for Waiting<'_> {
    type Outcome = Option<u8>;

    fn turn(
        &mut self,
        _machine: &mut Idle,
        _wire: &mut Wire,
        now: Instant,
    ) -> io::Result<ControlFlow<Option<u8>, bool>> {
        Ok(match self.interrupt.exit_code() {
            Some(code) => ControlFlow::Break(Some(code)),
            None if now >= self.until => ControlFlow::Break(None),
            None => ControlFlow::Continue(false),
        })
    }

    fn wakes_at(&self) -> Option<Instant> {
        Some(self.until)
    }
}

/// The first wait: a server that is started anew is there in less.
const SHORTEST: Duration = Duration::from_secs(1);

/// The longest wait, and how long a connection must hold to be a new beginning.
const LONGEST: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_until_patience_ends_and_a_connection_that_holds_begins_anew() {
        #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
        let mut now = Instant::now();
        let second = Duration::from_secs(1);
        let mut patience = Patience::new(300 * second);
        patience.on_connected(now);
        now += 100 * second;
        let mut waits = Vec::new();
        while let Some((attempt, pause)) = patience.on_lost(now) {
            waits.push((attempt, pause.as_secs()));
            now += pause + second;
            // Each breaks at once.
            patience.on_connected(now);
        }
        assert_eq!(waits[..6], [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 30)]);
        assert_eq!(waits.len(), 13, "{waits:?}");
        assert_eq!(patience.handshake(30 * second, now), 16 * second, "not longer than patience lasts");
        patience.on_connected(now);
        assert_eq!(patience.on_lost(now + LONGEST), Some((1, second)));
        assert_eq!(patience.handshake(30 * second, now + LONGEST), 30 * second);
        assert_eq!(Patience::new(Duration::ZERO).on_lost(now), None);
    }
}
