//! Times as shares that people can read: whole percents that make a hundred, the largest first, the crumbs together.

use super::{Limit, Spent};

/// A limit's share, or what all small ones have together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// `None` for all that are too small to be named.
    pub limit: Option<Limit>,
    /// From 1 to 100.
    pub percent: u32,
}

/// The shares, the largest first; they make 100, unless no time was spent at all. Those below 3 % are gathered in the last one.
pub fn shares(spent: &Spent) -> Vec<Share> {
    let total = spent.total().as_nanos();
    if total == 0 {
        return Vec::new();
    }
    let mut named: Vec<(Option<Limit>, u128)> = Limit::ALL
        .into_iter()
        .map(|limit| (Some(limit), spent.of(limit).as_nanos()))
        .filter(|(_, nanos)| nanos * 100 >= total * NAMED_FROM)
        .collect();
    named.sort_by_key(|(_, nanos)| std::cmp::Reverse(*nanos));
    let rest = total - named.iter().map(|(_, nanos)| nanos).sum::<u128>();
    named.push((None, rest));
    let mut shares: Vec<(Share, u128)> = named
        .into_iter()
        .map(|(limit, nanos)| {
            let (percent, remainder) = (nanos * 100 / total, nanos * 100 % total);
            (Share { limit, percent: u32::try_from(percent).unwrap_or(100) }, remainder)
        })
        .collect();
    // What rounding down has left goes to those that lost most by it.
    let missing = 100_u32.saturating_sub(shares.iter().map(|(share, _)| share.percent).sum());
    let mut order: Vec<usize> = (0..shares.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(shares.get(*at).map(|(_, remainder)| *remainder)));
    for at in order.into_iter().take(missing as usize) {
        if let Some((share, _)) = shares.get_mut(at) {
            share.percent += 1;
        }
    }
    shares.into_iter().map(|(share, _)| share).filter(|share| share.percent > 0).collect()
}

/// As in `limited by the path 71 %, this disk 20 %, socket drops at the receiver 9 %`; nothing if no time was spent.
pub fn sentence(spent: &Spent) -> Option<String> {
    let shares = shares(spent);
    let named = |share: &Share| format!("{} {} %", share.limit.map_or("all else", Limit::words), share.percent);
    let named: Vec<String> = shares.iter().map(named).collect();
    (!named.is_empty()).then(|| format!("limited by {}", named.join(", ")))
}

/// The least share in percent that has a name of its own.
const NAMED_FROM: u128 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn spent(times: &[(Limit, u64)]) -> Spent {
        let mut spent = Spent::default();
        times.iter().for_each(|(limit, millis)| spent.add(*limit, Duration::from_millis(*millis)));
        spent
    }

    #[test]
    fn a_verdict_is_a_sentence() {
        for (times, words) in [
            (
                &[(Limit::PeerSocket, 9), (Limit::Path, 71), (Limit::Disk, 20)][..],
                Some("limited by the path 71 %, this disk 20 %, socket drops at the receiver 9 %"),
            ),
            (&[(Limit::Path, 996), (Limit::Delay, 4)], Some("limited by the path 100 %")),
            (
                &[(Limit::Path, 950), (Limit::Delay, 25), (Limit::Disk, 25)],
                Some("limited by the path 95 %, all else 5 %"),
            ),
            (
                &[(Limit::Path, 1), (Limit::Disk, 1), (Limit::Delay, 1)],
                Some("limited by the path 34 %, the path's delay 33 %, this disk 33 %"),
            ),
            (&[], None),
        ] {
            assert_eq!(sentence(&spent(times)).as_deref(), words, "{times:?}");
        }
    }

    proptest! {
        #[test]
        fn shares_make_a_hundred_and_fall(times in proptest::collection::vec((0_usize..11, 0_u64..1 << 50), 1..20)) {
            let times: Vec<_> = times.into_iter().map(|(at, time)| (Limit::ALL[at], time)).collect();
            let shares = shares(&spent(&times));
            let sum: u32 = shares.iter().map(|share| share.percent).sum();
            prop_assert!(sum == 100 || times.iter().all(|(_, time)| *time == 0));
            let named: Vec<u32> = shares.iter().filter(|share| share.limit.is_some()).map(|share| share.percent).collect();
            prop_assert!(named.is_sorted_by(|one, next| one >= next), "{shares:?}");
        }
    }
}
