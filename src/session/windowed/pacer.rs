//! When packets may leave: a token bucket, in bursts that suit segmentation offload.
//!
//! Credit grows with the rate. A burst waits until half a millisecond's worth of it has gathered, so that one system
//! call sends many packets on a fast path; it is never more than two milliseconds' worth, so that no queue on the path
//! fills because of it. Whoever is woken up late may send several bursts at once to make up for it, but what he slept
//! beyond a bound is gone: the path has not kept it for him. The bound is a share of the round trip, since who queues for
//! longer than that is felt by others.

use std::time::{Duration, Instant};

/// The bucket.
#[derive(Clone, Debug)]
pub struct Pacer {
    /// Bytes per second; `u64::MAX` means that nothing is held back.
    rate: u64,
    /// The bytes of a packet.
    mtu: u64,
    /// Bytes that may leave; negative when more has left.
    credit: i64,
    /// What is not a whole byte of credit yet, in billionths.
    fraction: u64,
    counted: Instant,
    /// What a late wake-up may make up for.
    catch_up: Duration,
    /// Credit that came too late to be kept, in bytes, since it was last asked for.
    forfeited: u64,
}

impl Pacer {
    /// A full burst may leave at once.
    pub fn new(now: Instant, rate: u64, mtu: usize) -> Self {
        let mut pacer = Self {
            rate: rate.max(1),
            mtu: (mtu as u64).max(1),
            credit: 0,
            fraction: 0,
            counted: now,
            catch_up: CATCH_UP_MIN,
            forfeited: 0,
        };
        pacer.credit = signed(pacer.burst());
        pacer
    }

    /// The rate from `now` on, in bytes per second; `u64::MAX` for no limit.
    pub fn set_rate(&mut self, now: Instant, rate: u64) {
        if rate != self.rate {
            self.count(now);
            self.rate = rate.max(1);
        }
    }

    /// Packets have so many bytes from now on.
    pub fn set_mtu(&mut self, mtu: usize) {
        self.mtu = (mtu as u64).max(1);
    }

    /// The shortest round trip of the path.
    pub fn set_round_trip(&mut self, min_rtt: Duration) {
        self.catch_up = (min_rtt / CATCH_UP_SHARE).clamp(CATCH_UP_MIN, CATCH_UP_MAX);
    }

    /// How many bytes may leave at `now`, in one burst: none, or at least a packet. `may_catch_up`: whoever
    /// comes late makes up for all of it, and not only for what an idle machine's sleep is late; where the window and not the
    /// pace held packets back, that would be a burst.
    pub fn budget(&mut self, now: Instant, may_catch_up: bool) -> u64 {
        if self.rate == u64::MAX {
            return u64::MAX;
        }
        self.count(now);
        if !may_catch_up {
            self.credit = self.credit.min(signed(self.burst() + self.volume(CATCH_UP_MIN)));
        }
        let credit = u64::try_from(self.credit).unwrap_or(0);
        if credit < self.mtu { 0 } else { credit.min(self.burst()) }
    }

    /// For how long nothing left although it might have, beyond what can be made up for, since the last call.
    pub fn take_forfeited(&mut self) -> Duration {
        let bytes = std::mem::take(&mut self.forfeited);
        if bytes == 0 { Duration::ZERO } else { self.time_for(bytes) }
    }

    /// So many bytes left, whether the budget allowed it or not: acknowledgements and probes do not wait for it.
    pub fn on_sent(&mut self, now: Instant, bytes: u64) {
        if self.rate != u64::MAX {
            self.count(now);
            self.credit = self.credit.saturating_sub(signed(bytes)).max(-signed(self.capacity()));
        }
    }

    /// When the next burst may leave; in the past or now if it may already.
    pub fn next_send_time(&self) -> Instant {
        let missing = signed(self.quantum()) - self.credit;
        match u64::try_from(missing) {
            Ok(missing) if missing > 0 && self.rate != u64::MAX => self.counted + self.time_for(missing),
            _ => self.counted,
        }
    }

    /// The credit that a whole system call is worth.
    fn quantum(&self) -> u64 {
        self.volume(QUANTUM).clamp(self.mtu, BURST_BYTES_MAX.max(self.mtu))
    }

    /// The most that may leave at once.
    fn burst(&self) -> u64 {
        self.volume(BURST).clamp(self.mtu, BURST_BYTES_MAX.max(self.mtu))
    }

    /// The most credit that gathers.
    fn capacity(&self) -> u64 {
        self.burst() + self.volume(self.catch_up)
    }

    fn count(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.counted);
        if elapsed.is_zero() {
            return;
        }
        self.counted = now;
        let nanos = elapsed.min(ELAPSED_MAX).as_nanos();
        let gained = u128::from(self.rate) * nanos + u128::from(self.fraction);
        self.fraction = (gained % NANOS) as u64;
        let gained = i64::try_from(gained / NANOS).unwrap_or(i64::MAX);
        self.credit = self.credit.saturating_add(gained);
        let capacity = signed(self.capacity());
        if self.credit >= capacity {
            self.forfeited = self.forfeited.saturating_add(self.credit.abs_diff(capacity));
            self.credit = capacity;
            self.fraction = 0;
        }
    }

    fn volume(&self, time: Duration) -> u64 {
        u64::try_from(u128::from(self.rate) * time.as_nanos() / NANOS).unwrap_or(u64::MAX)
    }

    fn time_for(&self, bytes: u64) -> Duration {
        let nanos =
            (u128::from(bytes) * NANOS).saturating_sub(u128::from(self.fraction)).div_ceil(u128::from(self.rate));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).min(ELAPSED_MAX)
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

const NANOS: u128 = 1_000_000_000;

/// What gathers before a burst leaves: half of what draft-ietf-ccwg-bbr section 5.6.3 has, since a queue of 16 kB at
/// 100 Mbit/s overflows by more. (At 1 Gbit/s it is 62 kB, all that segmentation offload takes at once.)
const QUANTUM: Duration = Duration::from_micros(500);

/// What leaves at once at most.
const BURST: Duration = Duration::from_millis(2);

/// What a late wake-up may make up for besides: a tenth of the round trip. Sleeps of an idle machine end up to a
/// millisecond late, those of a busy one ten. (Simulated at 100 Mbit/s with a client that gets to run up to 20 ms late every
/// third time: 2 ms fill 53 % of a path of 100 ms, 8 ms 80 %. But where the queue holds 5 ms, 8 ms lose 12 % of the packets.)
const CATCH_UP_SHARE: u32 = 10;
const CATCH_UP_MIN: Duration = Duration::from_millis(2);
const CATCH_UP_MAX: Duration = Duration::from_millis(10);

/// What one call of the kernel takes (UDP segmentation offload; draft-ietf-ccwg-bbr section 5.6.3 has the same bound).
const BURST_BYTES_MAX: u64 = 64 * 1024;

/// No credit is counted beyond, and no waiting: the smallest rate is a byte a second.
const ELAPSED_MAX: Duration = Duration::from_secs(100_000);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
    fn begun(rate: u64) -> (Pacer, Instant) {
        let now = Instant::now();
        (Pacer::new(now, rate, 1250), now)
    }

    /// Sends whatever may leave, whenever it may, for so long; `late` after it might. Gives the bytes and the bursts.
    fn sent(pacer: &mut Pacer, from: Instant, lasts: Duration, late: Duration) -> (u64, u64) {
        let (mut now, mut bytes, mut largest) = (from, 0, 0);
        while now < from + lasts {
            let mut burst = 0;
            while pacer.budget(now, true) >= 1250 {
                pacer.on_sent(now, 1250);
                burst += 1250;
            }
            (bytes, largest) = (bytes + burst, largest.max(burst));
            now = pacer.next_send_time().max(now) + late;
        }
        (bytes, largest)
    }

    #[test]
    fn the_rate_is_kept_in_bursts_of_half_a_millisecond() {
        for (rate, burst) in [(12_500_000, 6250), (125_000_000, 62_500), (1_250_000_000, 65_000), (125_000, 1250)] {
            let (mut pacer, now) = begun(rate);
            let first = pacer.budget(now, true);
            assert!(first <= 65_536 && first <= (rate / 500).max(1250), "{first} at the beginning");
            sent(&mut pacer, now, Duration::from_millis(20), Duration::ZERO);
            let (bytes, largest) =
                sent(&mut pacer, now + Duration::from_millis(20), Duration::from_secs(1), Duration::ZERO);
            assert!(bytes.abs_diff(rate) <= rate / 1000 + 2500, "{bytes} of {rate}");
            assert!(largest <= burst + 2500, "{largest} at once of {burst}");
        }
    }

    #[test]
    fn late_wake_ups_of_two_milliseconds_are_made_up_for_and_longer_ones_are_not() {
        for (late, share) in [(Duration::from_millis(2), 99..=101), (Duration::from_millis(20), 17..=21)] {
            let (mut pacer, now) = begun(12_500_000);
            let (bytes, largest) = sent(&mut pacer, now, Duration::from_secs(1), late);
            assert!(share.contains(&(bytes * 100 / 12_500_000)), "{bytes} with {late:?}");
            assert!(largest <= 50_000, "{largest}");
        }
    }

    #[test]
    fn what_did_not_wait_is_paid_for_afterwards() {
        let (mut pacer, now) = begun(1_250_000);
        pacer.on_sent(now, 2500 + 1250);
        assert_eq!(pacer.budget(now, true), 0);
        assert_eq!(pacer.next_send_time(), now + Duration::from_millis(2));
        assert_eq!(pacer.budget(now + Duration::from_millis(2), true), 1250);
    }

    #[test]
    fn without_a_limit_nothing_waits() {
        let (mut pacer, now) = begun(u64::MAX);
        pacer.on_sent(now, u64::MAX);
        assert_eq!((pacer.budget(now, true), pacer.next_send_time() <= now), (u64::MAX, true));
    }

    proptest! {
        #[test]
        fn no_rate_and_no_moment_breaks_it(
            rates in proptest::collection::vec((any::<u64>(), 0_u64..10_000_000_000, any::<u64>(), 1_usize..70_000), 1..20)
        ) {
            let (mut pacer, mut now) = begun(1000);
            for (rate, nanos, bytes, mtu) in rates {
                now += Duration::from_nanos(nanos);
                pacer.set_rate(now, rate);
                pacer.set_mtu(mtu);
                let budget = pacer.budget(now, true);
                prop_assert!(budget == 0 || budget >= mtu as u64);
                prop_assert!(rate == u64::MAX || budget <= (64 * 1024).max(mtu as u64));
                pacer.on_sent(now, bytes);
                let next = pacer.next_send_time();
                prop_assert!(pacer.budget(next.max(now), true) >= mtu as u64 || next.duration_since(now) >= ELAPSED_MAX);
            }
        }
    }

    #[test]
    fn who_is_late_is_told_for_how_long_and_makes_up_for_a_tenth_of_the_round_trip() {
        #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
        let began = Instant::now();
        let mut pacer = Pacer::new(began, 1_000_000, 1000);
        pacer.set_round_trip(Duration::from_millis(50));
        pacer.on_sent(began, pacer.burst());
        pacer.budget(began + Duration::from_millis(7), true);
        assert_eq!((pacer.credit, pacer.take_forfeited()), (7000, Duration::ZERO));
        pacer.budget(began + Duration::from_millis(20), true);
        assert_eq!((pacer.credit, pacer.take_forfeited()), (7000, Duration::from_millis(13)));
        assert_eq!(pacer.take_forfeited(), Duration::ZERO, "it is told once");
    }
}
