//! How large a packet the path takes, found out with packets that may get lost (DPLPMTUD, RFC 8899).

use std::time::{Duration, Instant};

/// The search for the largest packet, in bytes of UDP payload.
///
/// Packets of [`BASE`] bytes pass, or there is no connection. From there the sizes of usual networks are tried, each of which
/// takes a round trip: on a path of 1500 bytes the first probe is the last. Where such a size is the largest that passes,
/// the next one tried is a little larger, since the path then most likely ends right there; otherwise what lies
/// between is halved. A size is given up after three losses, and after ten minutes all of it is tried again.
///
/// Probes are real packets beside the data, which nobody waits for: a lost probe says nothing about congestion, and the caller
/// does not tell its congestion control.
///
/// **ICMP** is never believed, and so there is no way to say it here: anybody can forge a message that a packet was too big
/// (CVE-2024-53259), and honest ones are filtered by many. A path that shrinks shows itself: see [`Mtu::on_lost`].
#[derive(Clone, Debug)]
pub struct Mtu {
    max: usize,
    /// The largest size that is known to pass, and the smallest that is not expected to.
    passes: usize,
    fails: usize,
    /// The probe in flight, and how often its size was lost before.
    probe: Option<usize>,
    losses: u32,
    raise_at: Option<Instant>,
    full: FullSize,
}

/// What became of the packets of full size.
#[derive(Clone, Copy, Debug, Default)]
struct FullSize {
    /// The newest full-size packet and the newest smaller one that were acknowledged.
    acked: Option<u64>,
    smaller_acked: Option<u64>,
    /// Full-size packets lost after the newest one that was acknowledged.
    lost: u32,
}

impl Mtu {
    /// Begins at [`BASE`] and goes no higher than `max`: what the interface takes less the headers, at most
    /// [`MAX`]. (1472 on Ethernet with IPv4, 1452 with IPv6, 65507 on loopback.)
    pub fn new(max: usize) -> Self {
        let max = max.clamp(BASE, MAX);
        Self { max, passes: BASE, fails: max + 1, probe: None, losses: 0, raise_at: None, full: FullSize::default() }
    }

    /// The size of packets that carry data.
    pub fn size(&self) -> usize {
        self.passes
    }

    /// The size of a probe to be sent now: a packet that wants an acknowledgement, padded to this length.
    /// `None` while one is in flight or nothing is to be found out.
    pub fn probe(&self) -> Option<usize> {
        if self.probe.is_some() || self.raise_at.is_some() { None } else { self.candidate() }
    }

    /// A probe of this size was sent.
    pub fn on_probe_sent(&mut self, size: usize) {
        self.probe = Some(size);
    }

    /// The probe of this size, packet `number`, was acknowledged.
    pub fn on_probe_acked(&mut self, number: u64, size: usize, now: Instant) {
        if self.probe == Some(size) {
            (self.probe, self.losses) = (None, 0);
            self.passes = size;
            // It is of full size now, and what was lost before it is no sign of anything.
            self.full = FullSize { acked: Some(number), ..FullSize::default() };
            self.rest(now);
        }
    }

    /// The probe of this size was lost.
    pub fn on_probe_lost(&mut self, size: usize, now: Instant) {
        if self.probe == Some(size) {
            self.probe = None;
            self.losses += 1;
            if self.losses >= PROBES_MAX {
                self.give_up(size, now);
            }
        }
    }

    /// The kernel would not send a packet of this size, since the interface takes none. That is no message from the path, and
    /// is believed at once; for a packet with data it means that the interface changed.
    pub fn on_refused(&mut self, size: usize, now: Instant) {
        if size <= self.passes {
            self.fall();
        } else {
            self.give_up(size, now);
        }
    }

    /// A packet other than a probe was acknowledged.
    pub fn on_acked(&mut self, number: u64, size: usize) {
        if size < self.passes {
            self.full.smaller_acked = self.full.smaller_acked.max(Some(number));
        } else if self.full.acked < Some(number) {
            self.full.acked = Some(number);
            self.full.lost = 0;
        }
    }

    /// A packet other than a probe was lost. Says whether it shows a black hole: six or more packets of full size in a row
    /// are gone, none after them passed, but a smaller one did. Then the size is [`BASE`] again, and the search begins anew.
    ///
    /// Losses that meet everything now and then look the same; then the search brings the size back within some round trips.
    /// So that a smaller packet does pass where all that is sent is of full size, a probe time-out sends one.
    pub fn on_lost(&mut self, number: u64, size: usize) -> bool {
        let is_full = size >= self.passes && self.passes > BASE;
        if !is_full || self.full.acked > Some(number) {
            return false;
        }
        self.full.lost += 1;
        let is_hole = self.full.lost >= BLACK_HOLE_LOSSES && self.full.smaller_acked > Some(number);
        if is_hole {
            self.fall();
        }
        is_hole
    }

    /// The path changed: nothing of the old one holds (RFC 9000 section 14.3).
    pub fn on_path_changed(&mut self, max: usize) {
        *self = Self::new(max);
    }

    /// When [`Mtu::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.raise_at
    }

    /// Looks whether the path takes more by now (`PMTU_RAISE_TIMER`).
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.raise_at.is_some_and(|due| now >= due) {
            (self.raise_at, self.fails) = (None, self.max + 1);
        }
    }

    /// The next size worth trying.
    fn candidate(&self) -> Option<usize> {
        let open = self.passes + 1..self.fails;
        if let Some(usual) = USUAL.into_iter().chain([self.max]).find(|size| open.contains(size)) {
            Some(usual)
        } else if open.len() < STEP {
            None
        } else if USUAL.contains(&self.passes) {
            Some(self.passes + STEP)
        } else {
            Some(self.passes + open.len().div_ceil(2))
        }
    }

    fn give_up(&mut self, size: usize, now: Instant) {
        (self.probe, self.losses) = (None, 0);
        self.fails = self.fails.min(size);
        self.rest(now);
    }

    /// When there is nothing more to find out, there will be in ten minutes.
    fn rest(&mut self, now: Instant) {
        if self.candidate().is_none() && self.passes < self.max {
            self.raise_at = Some(now + RAISE_AFTER);
        }
    }

    fn fall(&mut self) {
        *self = Self::new(self.max);
    }
}

/// `BASE_PLPMTU`: RFC 8899 section 5.1.2, and what a QUIC path must take (RFC 9000 section 14).
pub const BASE: usize = 1200;

/// The largest payload of a UDP datagram over IPv4: 65535 less 20 and 8 bytes of headers.
pub const MAX: usize = 65_507;

/// `MAX_PROBES` (RFC 8899 section 5.1.2).
const PROBES_MAX: u32 = 3;

/// `PMTU_RAISE_TIMER` (RFC 8899 section 5.1.1).
const RAISE_AFTER: Duration = Duration::from_secs(600);

/// How many losses make a black hole. Three in a row at the end of what is sent happen to every thousandth such end at 10 %
/// random loss, six to every millionth; a real hole swallows so many within a probe time-out or two.
const BLACK_HOLE_LOSSES: u32 = 6;

/// What usual networks take, the likeliest first: Ethernet's 1500 bytes with IPv4 and with IPv6 (40 and 8 bytes of headers;
/// and most of PPPoE's 1492), jumbo frames of 9000 with either.
const USUAL: [usize; 4] = [1472, 1452, 8952, 8972];

/// What is not worth another probe: 1 % of an Ethernet packet.
const STEP: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
    fn begun(max: usize) -> (Mtu, Instant) {
        (Mtu::new(max), Instant::now())
    }

    /// Probes until there is nothing more to find out; gives the sizes after each probe.
    fn search(mtu: &mut Mtu, path: usize, now: Instant) -> Vec<usize> {
        let (mut sizes, mut losses) = (Vec::new(), BTreeMap::<usize, u32>::new());
        while let Some(size) = mtu.probe() {
            mtu.on_probe_sent(size);
            assert_eq!(mtu.probe(), None, "one at a time");
            if size <= path {
                mtu.on_probe_acked(0, size, now);
            } else {
                mtu.on_probe_lost(size, now);
                *losses.entry(size).or_default() += 1;
            }
            sizes.push(mtu.size());
            assert!(sizes.len() < 100, "{sizes:?}");
        }
        assert!(losses.values().all(|times| *times == PROBES_MAX), "{losses:?}");
        sizes
    }

    #[test]
    fn usual_paths_are_found_within_a_few_round_trips() {
        let cases = [
            ("Ethernet", 1472, 1472, 1472, 1),
            ("Ethernet with IPv6", 1452, 1452, 1452, 1),
            ("an interface with jumbo frames before a path without", 8972, 1472, 1472, 1),
            ("jumbo frames", 8972, 8972, 8972, 3),
            ("loopback", 65_507, 65_507, 65_507, 4),
            ("PPPoE", 1472, 1464, 1452, 4),
            ("a tunnel that the interface tells of", 1392, 1392, 1392, 1),
            ("nothing larger", 1200, 1200, 1200, 0),
        ];
        for (name, max, path, size, probes) in cases {
            let (mut mtu, now) = begun(max);
            let sizes = search(&mut mtu, path, now);
            assert_eq!(sizes.iter().take_while(|found| **found < size).count() + 1, probes.max(1), "{name}: {sizes:?}");
            assert!((size..=path).contains(&mtu.size()), "{name}: {sizes:?}");
            assert_eq!(sizes.is_empty(), probes == 0, "{name}");
        }
    }

    #[test]
    fn a_size_is_given_up_after_three_losses_and_tried_again_after_ten_minutes() {
        let (mut mtu, now) = begun(1472);
        for _ in 0..2 {
            mtu.on_probe_sent(1472);
            mtu.on_probe_lost(1472, now);
            assert_eq!(mtu.probe(), Some(1472));
        }
        mtu.on_probe_sent(1472);
        mtu.on_probe_lost(1472, now);
        assert_eq!(mtu.probe(), Some(1452));
        search(&mut mtu, 1452, now);
        assert_eq!((mtu.size(), mtu.poll_timeout()), (1452, Some(now + RAISE_AFTER)));
        mtu.handle_timeout(now + RAISE_AFTER - Duration::from_secs(1));
        assert_eq!(mtu.probe(), None);
        mtu.handle_timeout(now + RAISE_AFTER);
        assert_eq!((mtu.probe(), mtu.size()), (Some(1472), 1452));
    }

    #[test]
    fn who_has_found_the_maximum_rests() {
        let (mut mtu, now) = begun(1472);
        search(&mut mtu, 1472, now);
        assert_eq!((mtu.probe(), mtu.poll_timeout()), (None, None));
    }

    #[test]
    fn a_path_that_shrinks_is_noticed_by_the_probe_that_is_small() {
        let (mut mtu, now) = begun(1472);
        search(&mut mtu, 1472, now);
        for number in 0..10 {
            mtu.on_acked(number, 1472);
        }
        mtu.on_acked(100, 1200);
        let verdicts: Vec<bool> = (10..20).map(|number| mtu.on_lost(number, 1472)).collect();
        assert_eq!(verdicts.iter().position(|hole| *hole), Some(5));
        assert_eq!(verdicts.iter().filter(|hole| **hole).count(), 1);
        assert_eq!((mtu.size(), mtu.probe()), (1200, Some(1472)));
        search(&mut mtu, 1400, now);
        assert!((1385..=1400).contains(&mtu.size()), "{}", mtu.size());
    }

    #[test]
    fn losses_that_meet_small_packets_too_or_spare_later_full_ones_are_no_black_hole() {
        let (mut mtu, now) = begun(1472);
        search(&mut mtu, 1472, now);
        // Nothing passes at all.
        assert!(!(0..50).any(|number| mtu.on_lost(number, 1472)));
        // A full one passes after them.
        mtu.on_acked(60, 1472);
        mtu.on_acked(61, 1200);
        assert!(!(50..60).any(|number| mtu.on_lost(number, 1472)));
        // Small ones are lost.
        mtu.on_acked(90, 1200);
        assert!(!(70..90).any(|number| mtu.on_lost(number, 800)));
        // Every third is lost.
        assert!(!(100..200).step_by(3).any(|number| {
            mtu.on_acked(number + 1, 1472);
            mtu.on_acked(number + 2, 300);
            mtu.on_lost(number, 1472)
        }));
        // Five in a row are lost, but never six.
        assert!(!(200..300).step_by(7).any(|number| {
            mtu.on_acked(number + 6, 300);
            let hole = (number..number + 5).any(|number| mtu.on_lost(number, 1472));
            mtu.on_acked(number + 5, 1472);
            hole
        }));
        // The small one passed before.
        mtu.on_acked(300, 300);
        assert!(!(301..310).any(|number| mtu.on_lost(number, 1472)));
        assert_eq!(mtu.size(), 1472);
    }

    #[test]
    fn there_is_nothing_to_fall_to_below_the_base() {
        let (mut mtu, _) = begun(1472);
        mtu.on_acked(100, 400);
        assert!(!(0..50).any(|number| mtu.on_lost(number, 1200)));
    }

    #[test]
    fn probes_of_a_search_that_was_broken_off_change_nothing() {
        let (mut mtu, now) = begun(8972);
        mtu.on_probe_sent(1472);
        mtu.on_probe_acked(1, 1472, now);
        mtu.on_probe_sent(8952);
        mtu.on_acked(100, 1200);
        assert!((10..16).any(|number| mtu.on_lost(number, 1472)));
        mtu.on_probe_acked(2, 8952, now);
        mtu.on_probe_lost(8952, now);
        assert_eq!((mtu.size(), mtu.probe()), (1200, Some(1472)));
    }

    #[test]
    fn what_was_lost_before_the_size_was_found_is_no_black_hole() {
        let (mut mtu, now) = begun(1472);
        mtu.on_probe_sent(1472);
        mtu.on_probe_acked(50, 1472, now);
        mtu.on_acked(60, 300);
        assert!(!(40..50).any(|number| mtu.on_lost(number, 1472)));
        assert!((51..57).any(|number| mtu.on_lost(number, 1472)));
    }

    #[test]
    fn what_the_kernel_refuses_is_given_up_at_once() {
        let (mut mtu, now) = begun(65_507);
        mtu.on_refused(1472, now);
        assert_eq!((mtu.size(), mtu.probe()), (1200, Some(1452)));
        search(&mut mtu, 1452, now);
        assert_eq!(mtu.size(), 1452);
        mtu.on_refused(1452, now);
        assert_eq!((mtu.size(), mtu.probe()), (1200, Some(1472)));
    }

    proptest! {
        #[test]
        fn the_search_ends_within_a_step_of_the_path(max in 0..70_000_usize, path in 1200..70_000_usize) {
            let (mut mtu, now) = begun(max);
            let sizes = search(&mut mtu, path, now);
            let best = path.min(max.clamp(BASE, MAX));
            prop_assert!(mtu.size() <= best && best - mtu.size() < STEP, "{} instead of {best}", mtu.size());
            prop_assert!(sizes.is_sorted() && sizes.len() <= 60, "{sizes:?}");
            prop_assert_eq!(mtu.poll_timeout().is_some(), mtu.size() < max.clamp(BASE, MAX));
        }

        #[test]
        fn random_losses_of_probes_find_a_size_that_passes(seed in any::<u64>(), path in 1200..9000_usize) {
            let (mut mtu, now) = begun(8972);
            let mut dice = fastrand::Rng::with_seed(seed);
            for _ in 0..200 {
                let Some(size) = mtu.probe() else { break };
                mtu.on_probe_sent(size);
                if size <= path && dice.f64() > 0.3 { mtu.on_probe_acked(0, size, now) } else { mtu.on_probe_lost(size, now) }
            }
            prop_assert!(mtu.size() <= path && mtu.probe().is_none());
        }
    }
}
