//! What a connection did, kept until somebody writes it down: a queue with a bound, and nothing where nobody asked for it.

mod event;

pub use event::{
    Content, End, Entry, Event, Item, Metric, Part, Purpose, Settings, Side, State, Timer, TimerChange, Trigger,
};

use crate::session::handshake::Failure;
use std::time::Instant;

/// The observations of one connection, or of several, in the order in which they were made. What a slow reader leaves is dropped and
/// counted, an event and its parts together, and the count is an event itself.
#[derive(Debug)]
pub struct Log {
    transfer: u64,
    now: Instant,
    entries: Vec<Entry>,
    dropped: u64,
    state: Option<State>,
}

impl Log {
    /// Nothing happened yet to this transfer.
    pub fn new(transfer: u64, now: Instant) -> Self {
        Self { transfer, now, entries: Vec::new(), dropped: 0, state: None }
    }

    /// What is told from now on happened at `now`.
    pub fn at(&mut self, now: Instant) -> &mut Self {
        self.now = self.now.max(now);
        self
    }

    /// Something happened.
    pub fn tell(&mut self, event: Event) {
        self.tell_with([], event);
    }

    /// Something happened that has parts.
    pub fn tell_with(&mut self, parts: impl IntoIterator<Item = Part>, event: Event) {
        let before = self.entries.len();
        let (at, transfer) = (self.now, self.transfer);
        if self.dropped > 0 && before + 1 < ENTRIES_MAX {
            let dropped = std::mem::take(&mut self.dropped);
            self.entries.push(Entry { at, transfer, item: Item::Event(Event::EventsDropped(dropped)) });
        }
        let room = ENTRIES_MAX.saturating_sub(self.entries.len());
        let items = parts.into_iter().map(Item::Part).chain([Item::Event(event)]);
        let whole = self.entries.len();
        self.entries.extend(items.take(room).map(|item| Entry { at, transfer, item }));
        let is_complete = matches!(self.entries.last(), Some(Entry { item: Item::Event(_), .. })) && room > 0;
        if !is_complete {
            self.entries.truncate(whole);
            self.dropped += 1;
        }
    }

    /// There was no handshake.
    pub fn tell_failure(&mut self, failure: &Failure) {
        let (trigger, reason) = match failure {
            Failure::NoAnswer { unreachable: true, .. } => ("handshake_timeout", "the port is closed"),
            Failure::NoAnswer { .. } => ("handshake_timeout", "no genuine answer came"),
            Failure::NotConfirmed => ("handshake_timeout", "the server fell silent in the handshake"),
            Failure::OtherVersion(_) => ("version_mismatch", "the server speaks another version"),
            Failure::OtherKey { .. } => ("error", "the server has another key"),
        };
        let (by, reason) = (Side::Local, reason.to_owned());
        self.tell(Event::Closed(Box::new(End { by, code: None, reason, trigger })));
        self.reach(State::Closed);
    }

    /// The connection came further.
    pub fn reach(&mut self, new: State) {
        if self.state != Some(new) {
            let old = self.state.replace(new);
            self.tell(Event::StateUpdated { old, new });
        }
    }

    /// How far the connection came.
    pub fn state(&self) -> Option<State> {
        self.state
    }

    /// Moves everything into `into`.
    pub fn drain(&mut self, into: &mut Vec<Entry>) {
        into.append(&mut self.entries);
    }

    /// Takes over what another one has.
    pub fn absorb(&mut self, other: &mut Log) {
        if self.entries.len() + other.entries.len() <= ENTRIES_MAX {
            self.entries.append(&mut other.entries);
        } else {
            let is_event = |entry: &Entry| matches!(entry.item, Item::Event(_));
            self.dropped += other.entries.drain(..).filter(is_event).count() as u64;
        }
    }
}

/// Entries that wait to be taken, which happens at every turn of a program: those of ten thousand packets, 3 MB.
pub const ENTRIES_MAX: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
    fn begun() -> (Log, Instant) {
        let now = Instant::now();
        (Log::new(7, now), now)
    }

    fn taken(log: &mut Log) -> Vec<Entry> {
        let mut entries = Vec::new();
        log.drain(&mut entries);
        entries
    }

    #[test]
    fn parts_come_before_their_event_and_time_never_runs_back() {
        let (mut log, now) = begun();
        let later = now + Duration::from_millis(3);
        log.at(later).tell_with([Part::Range(1, 2)], Event::PacketsAcked);
        log.at(now).reach(State::Confirmed);
        log.reach(State::Confirmed);
        let entries = taken(&mut log);
        let items: Vec<_> = entries.iter().map(|entry| &entry.item).collect();
        let updated = Event::StateUpdated { old: None, new: State::Confirmed };
        let expected = [Item::Part(Part::Range(1, 2)), Item::Event(Event::PacketsAcked), Item::Event(updated)];
        assert_eq!(items, expected.iter().collect::<Vec<_>>());
        assert!(entries.iter().all(|entry| (entry.at, entry.transfer) == (later, 7)));
        assert_eq!(taken(&mut log), []);
    }

    #[test]
    fn what_nobody_takes_is_dropped_whole_and_counted() {
        let (mut log, _) = begun();
        for _ in 0..ENTRIES_MAX {
            log.tell_with([Part::Range(1, 2), Part::Range(3, 4)], Event::PacketsAcked);
        }
        let entries = taken(&mut log);
        assert_eq!(entries.len(), ENTRIES_MAX / 3 * 3);
        assert_eq!(entries.last().map(|entry| &entry.item), Some(&Item::Event(Event::PacketsAcked)));
        log.tell(Event::PacketsAcked);
        let dropped = (ENTRIES_MAX - ENTRIES_MAX / 3) as u64;
        assert_eq!(taken(&mut log).first().map(|entry| &entry.item), Some(&Item::Event(Event::EventsDropped(dropped))));
    }

    #[test]
    fn what_another_one_has_is_taken_over_as_long_as_there_is_room() {
        let ((mut all, _), (mut one, _)) = (begun(), begun());
        one.tell_with([Part::Range(1, 2)], Event::PacketsAcked);
        all.absorb(&mut one);
        assert_eq!(taken(&mut all).len(), 2);
        (0..ENTRIES_MAX).for_each(|_| all.tell(Event::PacketsAcked));
        one.tell_with([Part::Range(1, 2)], Event::PacketsAcked);
        all.absorb(&mut one);
        assert_eq!((taken(&mut all).len(), taken(&mut one).len(), all.dropped), (ENTRIES_MAX, 0, 1));
    }
}
