//! What a number says of the message that carries it: new, seen before, late, or from a peer that begins anew.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hasher};
use std::time::{Duration, Instant};

/// What becomes of a message whose number is lower than the highest and was never seen: its sender gave it up and went on,
/// and then it arrived after all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Late is better than never (the echo server).
    AsTheyCome,
    /// Order is promised: what comes too late has failed, as its sender believes anyhow (chat).
    InOrder,
}

/// What a number says of its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Above every number so far: delivered.
    New,
    /// Never seen, though higher numbers were: delivered.
    Late,
    /// The peer was started anew: delivered, and numbers are compared with this one from here on.
    Restarted,
    /// Seen before: acknowledged again, not delivered.
    Duplicate,
    /// Too late: neither delivered nor acknowledged.
    Stale,
}

impl Verdict {
    /// Whether the message goes to the application.
    pub fn is_delivered(self) -> bool {
        matches!(self, Verdict::New | Verdict::Late | Verdict::Restarted)
    }

    /// Whether the message is answered.
    pub fn is_acknowledged(self) -> bool {
        self != Verdict::Stale
    }
}

/// The receiving half of a conversation: which messages of one peer were seen.
///
/// Numbers may begin anywhere and have gaps, since a sender goes on after giving up. Numbers have 64 bits and do not wrap: at a
/// million messages a second they last half a million years. Peers with smaller counters do, see [`Incoming::hear`].
#[derive(Debug)]
pub struct Incoming {
    policy: Policy,
    /// The message with the highest number; never forgotten, since it is the one that a sender repeats.
    highest: Option<Seen>,
    /// The others, in the order in which they were last heard.
    seen: VecDeque<Seen>,
    /// What was seen before the peer was started anew: copies of it may still wander about.
    earlier: VecDeque<Seen>,
    /// The highest number that had to be forgotten before its time, and when it was last heard.
    crowded_out: Option<(u64, Instant)>,
    last_heard: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    seq: u64,
    text: u64,
    at: Instant,
}

impl Incoming {
    /// Nothing was heard yet.
    pub fn new(policy: Policy) -> Self {
        let (seen, earlier) = (VecDeque::new(), VecDeque::new());
        Self { policy, highest: None, seen, earlier, crowded_out: None, last_heard: None }
    }

    /// The message `seq` came, saying `text`. Within [`MEMORY`] the same number with the same text is the same message.
    ///
    /// A peer that was started anew is known by a number that it has used for another text, by a 0 or 1 after [`MEMORY`] of
    /// quiet, or by a 0 or 1 behind the highest number of 16, 31 or 32 bits, where a smaller counter wraps.
    pub fn hear(&mut self, seq: u64, text: &str, now: Instant) -> Verdict {
        self.forget(now);
        let was_quiet = self.last_heard.is_none_or(|last| is_over(last, now));
        self.last_heard = Some(now);
        let message = Seen { seq, text: digest(text), at: now };
        let verdict = self.judge(message, was_quiet, now);
        match verdict {
            Verdict::New => {
                let before = self.highest.replace(message);
                before.into_iter().for_each(|before| self.remember(before, now));
            }
            Verdict::Late => self.remember(message, now),
            Verdict::Restarted => self.begin_anew(message),
            Verdict::Duplicate => self.refresh(message),
            Verdict::Stale => {}
        }
        verdict
    }

    /// Whether a message of this number, or of a higher one, was heard.
    pub fn is_past(&self, seq: u64) -> bool {
        self.highest.is_some_and(|highest| seq <= highest.seq)
    }

    /// When something last came.
    pub fn last_heard(&self) -> Option<Instant> {
        self.last_heard
    }

    /// How many messages are remembered.
    pub fn remembered(&self) -> usize {
        self.seen.len() + self.earlier.len() + usize::from(self.highest.is_some())
    }

    fn judge(&self, message: Seen, was_quiet: bool, now: Instant) -> Verdict {
        let Some(highest) = self.highest else { return Verdict::New };
        let seq = message.seq;
        if seq <= 1 && was_quiet {
            return Verdict::Restarted;
        }
        let same = |seen: &Seen| seen.seq == seq && seen.text == message.text;
        if same(&highest) || self.earlier.iter().any(same) {
            return Verdict::Duplicate;
        }
        if seq > highest.seq {
            return Verdict::New;
        }
        if self.seen.iter().any(same) {
            return Verdict::Duplicate;
        }
        let is_used = seq == highest.seq || self.seen.iter().any(|seen| seen.seq == seq);
        if is_used || (seq <= 1 && WRAPS_AFTER.contains(&highest.seq)) {
            return Verdict::Restarted;
        }
        let may_be_forgotten = self.crowded_out.is_some_and(|(below, at)| seq <= below && !is_over(at, now));
        match self.policy {
            Policy::InOrder => Verdict::Stale,
            // Delivering it twice would be worse than not delivering what its sender has most likely given up.
            Policy::AsTheyCome if may_be_forgotten => Verdict::Duplicate,
            Policy::AsTheyCome => Verdict::Late,
        }
    }

    fn remember(&mut self, message: Seen, now: Instant) {
        if self.seen.len() >= SEEN_MAX
            && let Some(old) = self.seen.pop_front().filter(|old| !is_over(old.at, now))
        {
            let highest = self.crowded_out.map_or(old.seq, |(seq, _)| seq.max(old.seq));
            self.crowded_out = Some((highest, old.at));
        }
        self.seen.push_back(message);
    }

    fn begin_anew(&mut self, message: Seen) {
        for old in self.seen.drain(..).chain(self.highest.replace(message)) {
            if self.earlier.len() >= SEEN_MAX {
                self.earlier.pop_front();
            }
            self.earlier.push_back(old);
        }
        self.crowded_out = None;
    }

    /// Copies of what was just heard again may follow.
    fn refresh(&mut self, message: Seen) {
        // The same number may stand for one text now and for another one before the peer was started anew.
        let same = |seen: &Seen| seen.seq == message.seq && seen.text == message.text;
        if let Some(highest) = self.highest.as_mut().filter(|highest| same(highest)) {
            highest.at = message.at;
            return;
        }
        for list in [&mut self.seen, &mut self.earlier] {
            if let Some(at) = list.iter().position(same) {
                list.remove(at);
                list.push_back(message);
                return;
            }
        }
    }

    fn forget(&mut self, now: Instant) {
        for list in [&mut self.seen, &mut self.earlier] {
            while list.front().is_some_and(|seen| is_over(seen.at, now)) {
                list.pop_front();
            }
        }
    }
}

fn is_over(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) >= MEMORY
}

/// A text is remembered by 64 bits: that two texts under one number share them is no accident but a peer's own doing, and then
/// its own message is the one that is taken for a duplicate.
fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(text.as_bytes());
    hasher.finish()
}

/// How long messages are remembered after they were last heard, and how long a peer is quiet before a 1 begins anew. Longer
/// than any copy wanders through a network, shorter than a student takes to start his client again and wonder.
pub const MEMORY: Duration = Duration::from_secs(10);

/// Messages of one peer that are remembered besides the highest. Stop-and-wait needs one; a peer that sends without waiting may
/// have so many under way in any order.
pub const SEEN_MAX: usize = 128;

/// The last numbers of counters with 16, 31 and 32 bits; smaller ones come round to numbers that are still remembered.
const WRAPS_AFTER: [u64; 3] = [u16::MAX as u64, i32::MAX as u64, u32::MAX as u64];

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{Duplicate, Late, New, Restarted, Stale};

    /// Hears numbers (each saying its own text unless another is given) and gives the verdicts.
    struct Ear {
        incoming: Incoming,
        now: Instant,
    }

    impl Ear {
        #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
        fn new(policy: Policy) -> Self {
            Self { incoming: Incoming::new(policy), now: Instant::now() }
        }

        fn hears(&mut self, seq: u64, text: &str) -> Verdict {
            self.incoming.hear(seq, text, self.now)
        }

        fn hears_all(&mut self, numbers: &[u64]) -> Vec<Verdict> {
            numbers.iter().map(|seq| self.hears(*seq, &seq.to_string())).collect()
        }

        fn waits(&mut self, seconds: f64) {
            self.now += Duration::from_secs_f64(seconds);
        }
    }

    #[test]
    fn numbers_begin_anywhere_have_gaps_and_are_delivered_once() {
        let mut ear = Ear::new(Policy::AsTheyCome);
        assert_eq!(
            ear.hears_all(&[39, 40, 40, 43, 39, 41, 41]),
            [New, New, Duplicate, New, Duplicate, Late, Duplicate]
        );
        let mut ear = Ear::new(Policy::InOrder);
        assert_eq!(ear.hears_all(&[39, 40, 40, 43, 39, 41, 41]), [New, New, Duplicate, New, Duplicate, Stale, Stale]);
    }

    #[test]
    fn a_copy_from_before_a_restart_does_not_make_the_new_message_forgotten() {
        let mut ear = Ear::new(Policy::AsTheyCome);
        assert_eq!([ear.hears(24, "old"), ear.hears(24, "new"), ear.hears(30, "more")], [New, Restarted, New]);
        assert_eq!([ear.hears(24, "old"), ear.hears(24, "new")], [Duplicate, Duplicate]);
    }

    #[test]
    fn the_highest_number_is_a_duplicate_however_late_and_others_for_ten_seconds() {
        let mut ear = Ear::new(Policy::AsTheyCome);
        ear.hears_all(&[5, 6]);
        ear.waits(9.9);
        assert_eq!(ear.hears_all(&[5]), [Duplicate]);
        ear.waits(9.9);
        assert_eq!(ear.hears_all(&[5]), [Duplicate], "a copy keeps its memory awake");
        ear.waits(10.0);
        assert_eq!(ear.hears_all(&[6, 5]), [Duplicate, Late]);
    }

    #[test]
    fn a_used_number_with_another_text_is_a_peer_that_was_started_anew() {
        for policy in [Policy::AsTheyCome, Policy::InOrder] {
            let mut ear = Ear::new(policy);
            ear.hears_all(&[1, 2, 3]);
            assert_eq!(ear.hears(1, "anew"), Restarted);
            assert_eq!([ear.hears(1, "1"), ear.hears(3, "3")], [Duplicate; 2], "copies from before");
            assert_eq!([ear.hears(2, "two"), ear.hears(3, "three"), ear.hears(1, "anew")], [New, New, Duplicate]);
        }
    }

    #[test]
    fn a_one_after_ten_seconds_of_quiet_begins_anew_and_before_that_it_does_not() {
        let mut ear = Ear::new(Policy::AsTheyCome);
        ear.hears_all(&[1, 2]);
        ear.waits(9.9);
        assert_eq!(ear.hears_all(&[1]), [Duplicate]);
        ear.waits(10.0);
        assert_eq!(ear.hears_all(&[1, 2, 1]), [Restarted, New, Duplicate]);
        ear.waits(10.0);
        assert_eq!(ear.hears_all(&[2]), [Duplicate], "only a 0 or 1 does");
    }

    #[test]
    fn small_counters_wrap() {
        for last in [u64::from(u16::MAX), 0x7fff_ffff, 0xffff_ffff] {
            let mut ear = Ear::new(Policy::AsTheyCome);
            assert_eq!(ear.hears_all(&[last - 1, last, 0, 1, 2]), [New, New, Restarted, New, New]);
        }
        let mut ear = Ear::new(Policy::AsTheyCome);
        assert_eq!(ear.hears_all(&[u64::MAX - 1, u64::MAX, 0]), [New, New, Late]);
    }

    #[test]
    fn what_was_crowded_out_of_memory_is_not_delivered_again() {
        let mut ear = Ear::new(Policy::AsTheyCome);
        let numbers: Vec<u64> = (2..10_000).collect();
        assert!(ear.hears_all(&numbers).iter().all(|verdict| *verdict == New));
        assert_eq!(ear.incoming.remembered(), SEEN_MAX + 1);
        assert!(ear.hears_all(&numbers).iter().all(|verdict| *verdict == Duplicate));
        ear.waits(10.0);
        assert_eq!(ear.hears(2, "2"), Late, "no copy wanders for so long");
    }
}
