//! What can hold a transfer back, for how long each of these did, and what the receiver adds to it at the end.

mod shares;

pub use shares::{Share, sentence, shares};

use std::time::Duration;

/// What a sender is limited by at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limit {
    /// The congestion window or the pace: there was more to send than the path takes, as far as its model knows.
    Path,
    /// Round trips in which nothing could be sent: the handshake, and the last acknowledgements.
    Delay,
    /// The rate that the user asked for.
    Rate,
    /// All that the receiver permits is under way: the path is too long for its window.
    Window,
    /// All that the receiver permits has arrived there, and waits for its disk; or everything did, and is being made durable.
    PeerDisk,
    /// The same, but that its processor is what takes the time; or its socket's thread cannot take more packets.
    PeerProcessor,
    /// The kernel drops packets at the receiver, whose socket has no room for them.
    PeerSocket,
    /// What is to be sent next is not read yet.
    Disk,
    /// Standard input has not brought it yet.
    Input,
    /// The threads of this side that read, hash, seal and send have no time to spare.
    Processor,
    /// The kernel takes no more packets for now: the interface is busy, or the socket's buffer is small.
    Socket,
}

impl Limit {
    /// All of them.
    pub const ALL: [Self; KINDS] = [
        Self::Path,
        Self::Delay,
        Self::Rate,
        Self::Window,
        Self::PeerDisk,
        Self::PeerProcessor,
        Self::PeerSocket,
        Self::Disk,
        Self::Input,
        Self::Processor,
        Self::Socket,
    ];

    /// For programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Delay => "delay",
            Self::Rate => "rate",
            Self::Window => "window",
            Self::PeerDisk => "peer_disk",
            Self::PeerProcessor => "peer_processor",
            Self::PeerSocket => "peer_socket",
            Self::Disk => "disk",
            Self::Input => "input",
            Self::Processor => "processor",
            Self::Socket => "socket",
        }
    }

    /// For people, after `limited by`.
    pub fn words(self) -> &'static str {
        match self {
            Self::Path => "the path",
            Self::Delay => "the path's delay",
            Self::Rate => "the rate that was asked for",
            Self::Window => "the receiver's window",
            Self::PeerDisk => "the receiver's disk",
            Self::PeerProcessor => "the receiver's processor",
            Self::PeerSocket => "socket drops at the receiver",
            Self::Disk => "this disk",
            Self::Input => "standard input",
            Self::Processor => "this processor",
            Self::Socket => "this socket",
        }
    }
}

/// How long each limit was in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent([Duration; KINDS]);

impl Spent {
    /// Adds time.
    pub fn add(&mut self, limit: Limit, time: Duration) {
        if let Some(spent) = self.0.get_mut(limit as usize) {
            *spent = spent.saturating_add(time);
        }
    }

    /// Adds the times of another.
    pub fn add_all(&mut self, other: &Spent) {
        Limit::ALL.into_iter().for_each(|limit| self.add(limit, other.of(limit)));
    }

    /// The time of one limit.
    pub fn of(&self, limit: Limit) -> Duration {
        self.0.get(limit as usize).copied().unwrap_or_default()
    }

    /// All times together.
    pub fn total(&self) -> Duration {
        self.0.iter().fold(Duration::ZERO, |sum, time| sum.saturating_add(*time))
    }

    /// Moves a share of one limit's time, from 0 to 1, to another.
    pub fn shift(&mut self, from: Limit, to: Limit, share: f64) {
        let moved = self.of(from).mul_f64(share.clamp(0.0, 1.0));
        if let Some(spent) = self.0.get_mut(from as usize) {
            *spent = spent.saturating_sub(moved);
        }
        self.add(to, moved);
    }

    /// What came since `earlier`.
    pub fn since(&self, earlier: &Spent) -> Spent {
        let mut since = *self;
        since.0.iter_mut().zip(earlier.0).for_each(|(time, before)| *time = time.saturating_sub(before));
        since
    }

    /// The limit that was in force for longest, if any was.
    pub fn largest(&self) -> Option<Limit> {
        Limit::ALL.into_iter().filter(|limit| !self.of(*limit).is_zero()).max_by_key(|limit| self.of(*limit))
    }

    /// What is left when the receiver has told its side: time for which the path seemed to hold us back, or the receiver's disk,
    /// goes to what really did.
    pub fn with(mut self, strain: &Strain, sent: &Sending) -> Spent {
        // The kernel counts a batch that it drops as one, so drops are compared with runs of losses.
        let explained = share(strain.drops, sent.lost_runs).min(1.0);
        let dropped = share(sent.lost, sent.packets) * explained;
        let is_felt = (dropped / sent.tolerance.max(f64::MIN_POSITIVE)).min(1.0);
        self.shift(Limit::Path, Limit::PeerSocket, is_felt * explained);
        // Whatever else was busy was so in part for packets that were dropped.
        for wasted in [Limit::Rate, Limit::Processor, Limit::Socket] {
            self.shift(wasted, Limit::PeerSocket, dropped);
        }
        self.shift(Limit::Path, Limit::PeerProcessor, business(strain.awake, strain.lasted));
        self.shift(Limit::PeerDisk, Limit::PeerProcessor, business(strain.disk_effort, strain.disk));
        self
    }
}

/// What the receiver knows of itself at the end of a transfer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strain {
    /// Packets that the kernel dropped because the receiver's sockets had no room, those of other transfers among them.
    pub drops: u64,
    /// How long bytes came.
    pub lasted: Duration,
    /// For how long of this the thread of the sockets ran, or waited for a core.
    pub awake: Duration,
    /// How long the disk's thread was busy with the transfer.
    pub disk: Duration,
    /// For how long of this it ran, or waited for a core.
    pub disk_effort: Duration,
}

/// What the sender knows of its packets at the end.
#[derive(Clone, Copy, Debug)]
pub struct Sending {
    /// Packets sent.
    pub packets: u64,
    /// Packets lost.
    pub lost: u64,
    /// How often one of them did not follow the one before.
    pub lost_runs: u64,
    /// The share of losses from which on the congestion control sends less.
    pub tolerance: f64,
}

/// How much a thread is to blame that was `busy` for this part of a time: not at all below 65 % of it, altogether from 88 % on.
pub fn business(busy: Duration, time: Duration) -> f64 {
    if time.is_zero() {
        return 0.0;
    }
    ((busy.as_secs_f64() / time.as_secs_f64() - IDLE) / (BUSY - IDLE)).clamp(0.0, 1.0)
}

#[expect(clippy::cast_precision_loss, reason = "counts of packets are no reason to be exact")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Chosen, not measured: a thread that waits for a third of its time has time to spare, and one that waits for an eighth has hardly any, since
/// it cannot always have something to do.
const IDLE: f64 = 0.65;
const BUSY: f64 = 0.88;

const KINDS: usize = 11;

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(times: &[(Limit, u64)]) -> Spent {
        let mut spent = Spent::default();
        times.iter().for_each(|(limit, millis)| spent.add(*limit, Duration::from_millis(*millis)));
        spent
    }

    #[test]
    fn each_limit_has_its_own_place_and_name() {
        for (number, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, number);
            assert_eq!(Limit::ALL.iter().filter(|other| other.name() == limit.name()).count(), 1);
        }
    }

    #[test]
    fn what_the_receiver_tells_moves_time_to_what_really_held_us_back() {
        let before = spent(&[(Limit::Path, 800), (Limit::PeerDisk, 100), (Limit::Delay, 100)]);
        let second = Duration::from_secs(1);
        let busy =
            |awake, disk_effort| Strain { lasted: second, awake, disk: second, disk_effort, ..Strain::default() };
        let drops = |drops| Strain { drops, ..Strain::default() };
        let sent = |lost| Sending { packets: 1000, lost, lost_runs: lost, tolerance: 0.02 };
        let largest = |strain: Strain, lost| before.with(&strain, &sent(lost)).largest();
        assert_eq!(largest(Strain::default(), 0), Some(Limit::Path));
        assert_eq!(largest(busy(second, Duration::ZERO), 0), Some(Limit::PeerProcessor));
        assert_eq!(largest(busy(second / 2, Duration::ZERO), 0), Some(Limit::Path));
        let hashing = before.with(&busy(Duration::ZERO, second), &sent(0));
        assert_eq!((hashing.of(Limit::PeerProcessor).as_millis(), hashing.of(Limit::PeerDisk)), (100, Duration::ZERO));
        // Twenty of a thousand matter; two hardly do; and not where the path itself loses far more.
        assert_eq!(largest(drops(20), 20), Some(Limit::PeerSocket));
        assert_eq!(largest(drops(2), 2), Some(Limit::Path));
        assert_eq!(largest(drops(20), 200), Some(Limit::Path));
        assert_eq!(before.with(&drops(u64::MAX), &sent(0)).total(), before.total());
        // A batch that is dropped is one drop.
        let in_batches = Sending { lost_runs: 2, ..sent(40) };
        assert_eq!(before.with(&drops(2), &in_batches).largest(), Some(Limit::PeerSocket));
        let sealing = spent(&[(Limit::Processor, 1000)]).with(&drops(400), &sent(400));
        assert_eq!(sealing.of(Limit::PeerSocket), Duration::from_millis(400), "it was busy with what was dropped");
    }

    #[test]
    fn the_present_limit_is_the_one_of_the_last_stretch() {
        let (early, late) = (spent(&[(Limit::Delay, 500)]), spent(&[(Limit::Delay, 500), (Limit::Disk, 20)]));
        assert_eq!((late.largest(), late.since(&early).largest()), (Some(Limit::Delay), Some(Limit::Disk)));
        assert_eq!(early.since(&late).largest(), None);
    }
}
