//! How much is taken from a socket before it is somebody else's turn: other sockets, and sending.

/// What a turn has brought so far. One call of the kernel fills up to 32 slots, and a slot may hold one datagram or fifty that were
/// joined; what it will be is not known before. So as many slots are offered as would fit if all were as the last ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Budget {
    datagrams: usize,
    bytes: usize,
}

/// How full the slots of a call were, on average.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Filling {
    datagrams: usize,
    bytes: usize,
}

impl Budget {
    /// How many slots to offer, 1 at least.
    pub(super) fn slots(self, filling: Filling, slots_max: usize) -> usize {
        let datagrams = DATAGRAMS_MAX.saturating_sub(self.datagrams) / filling.datagrams;
        let bytes = BYTES_MAX.saturating_sub(self.bytes) / filling.bytes;
        datagrams.min(bytes).clamp(1, slots_max.max(1))
    }

    /// A slot came back with this much in it. (An empty datagram is one, too.)
    pub(super) fn spend(&mut self, datagrams: usize, bytes: usize) {
        self.datagrams += datagrams.max(1);
        self.bytes += bytes;
    }

    /// The turn is over.
    pub(super) fn is_spent(self) -> bool {
        self.datagrams >= DATAGRAMS_MAX || self.bytes >= BYTES_MAX
    }

    /// How full the slots were of the call that came between `earlier` and now.
    pub(super) fn filling_since(self, earlier: Self, slots: usize) -> Filling {
        let average = |spent: usize| spent.div_ceil(slots.max(1)).max(1);
        Filling { datagrams: average(self.datagrams - earlier.datagrams), bytes: average(self.bytes - earlier.bytes) }
    }
}

impl Default for Filling {
    /// Nothing is known yet: small datagrams, one a slot.
    fn default() -> Self {
        Self { datagrams: 1, bytes: 1 }
    }
}

/// Datagrams and bytes of a turn: about a quarter of a millisecond with decryption, hence little beside the bursts of 2 ms that
/// a sender leaves in; and enough that the system calls of a turn (about 2 us) are not felt.
const DATAGRAMS_MAX: usize = 128;
const BYTES_MAX: usize = 512 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// Turns at a socket that always has more: slots offered in each call of the turns.
    fn turns(count: usize, datagrams: usize, length: usize) -> Vec<Vec<usize>> {
        let mut filling = Filling::default();
        let mut turn = || {
            let (mut budget, mut calls) = (Budget::default(), Vec::new());
            while !budget.is_spent() {
                let (slots, before) = (budget.slots(filling, 32), budget);
                (0..slots).for_each(|_| budget.spend(datagrams, datagrams * length));
                filling = budget.filling_since(before, slots);
                calls.push(slots);
                assert!(calls.len() < 1000);
            }
            calls
        };
        (0..count).map(|_| turn()).collect()
    }

    #[test]
    fn turns_end_after_about_as_much_work_whatever_comes() {
        let cases: [(&str, usize, usize, &[&[usize]]); 4] = [
            ("short ones", 1, 100, &[&[32, 32, 32, 32]]),
            ("empty ones", 1, 0, &[&[32, 32, 32, 32]]),
            ("joined ones: the first call is a surprise", 44, 1472, &[&[32], &[2]]),
            ("long ones", 1, 65_000, &[&[32], &[8, 1]]),
        ];
        for (name, datagrams, length, calls) in cases {
            let turns = turns(calls.len(), datagrams, length);
            let total: usize = turns.last().unwrap().iter().sum();
            assert!(total * datagrams <= DATAGRAMS_MAX + 2 * datagrams, "{name}: {turns:?}");
            assert!(total * datagrams * length <= BYTES_MAX + 2 * 65_535, "{name}: {turns:?}");
            assert!(turns.iter().zip(calls).all(|(turn, calls)| turn.first() == calls.first()), "{name}: {turns:?}");
        }
    }

    #[test]
    fn somebody_who_sends_joined_ones_once_does_not_make_us_timid_for_long() {
        let mut filling = Filling { datagrams: 64, bytes: 65_000 };
        let mut budget = Budget::default();
        let before = budget;
        let slots = budget.slots(filling, 32);
        (0..slots).for_each(|_| budget.spend(1, 100));
        filling = budget.filling_since(before, slots);
        assert_eq!(budget.slots(filling, 32), 32);
    }
}
