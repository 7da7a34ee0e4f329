//! What was read is compressed while nothing else is to be done, if that pays.
//!
//! A path that is slower than reading leaves the thread waiting for room. That time, and no other, compresses what waits to be sent: so a
//! fast path is never kept waiting for it, a slow one gets all blocks compressed, and one in between as many as there is time for.

use super::ahead::Ahead;
use super::board::{State, Stopped};
use super::ring::{Block, Part};
use crate::compression::{BLOCK_MAX, Compression, Compressor};
use crate::io::clock;
use std::time::{Duration, Instant};

/// What compressing was like so far.
pub(super) struct Press {
    way: Compression,
    /// `None` before the first block, and where there is no memory for it.
    compressor: Option<Compressor>,
    plain: Vec<u8>,
    doubt: Doubt,
    speed: Speed,
    /// When the path was looked at, and how many bytes had left by then.
    looked: Option<(Instant, u64)>,
    /// Bytes per second that left lately; `None` at first.
    rate: Option<f64>,
}

/// How often it was in vain of late.
#[derive(Debug, Default)]
struct Doubt {
    misses: u32,
    /// So many blocks are not even tried.
    skip: u32,
}

/// What it costs to compress what becomes smaller, and what that saves.
#[derive(Debug, Default)]
struct Speed {
    /// Seconds for a byte, and the share of it that is saved; `None` before the first.
    known: Option<(f64, f64)>,
}

/// What there was to do.
enum Step {
    /// One block was seen to.
    Done,
    /// It does not pay, as far as is known; ask again.
    Later,
    /// Everything that waits is seen to.
    Nothing,
}

impl Doubt {
    fn is_skipped(&mut self) -> bool {
        let skip = self.skip > 0;
        self.skip = self.skip.saturating_sub(1);
        skip
    }

    /// After each miss twice as many blocks are passed over, until one becomes smaller again.
    fn note(&mut self, became_smaller: bool) {
        self.misses = if became_smaller { 0 } else { self.misses.saturating_add(1).min(MISSES_MAX) };
        self.skip = if became_smaller { 0 } else { (1 << self.misses) - 1 };
    }
}

impl Speed {
    /// So many bytes became so many fewer, in this time. The least of late counts: on a busy machine, much of the others is somebody else's.
    fn add(&mut self, bytes: usize, saved: usize, took: Duration) {
        let bytes = to_float(bytes.max(1) as u64);
        let (cost, share) = (took.as_secs_f64() / bytes, to_float(saved as u64) / bytes);
        let (least, usual) = self.known.unwrap_or((cost, share));
        self.known = Some((cost.min(least * 1.01), usual + (share - usual) / 16.0));
    }

    /// Whether a path that takes so many bytes a second would need twice as long for what is saved as it takes to save it: cores may
    /// be wanted by others here, and the receiver has work with it as well.
    fn pays_at(&self, rate: f64) -> bool {
        self.known.is_none_or(|(cost, share)| 2.0 * rate * cost < share)
    }
}

impl Press {
    pub(super) fn new(way: Compression) -> Self {
        Self {
            way,
            compressor: None,
            plain: Vec::new(),
            doubt: Doubt::default(),
            speed: Speed::default(),
            looked: None,
            rate: None,
        }
    }

    /// Compresses all of a block at once, where that is wanted whatever it costs.
    pub(super) fn press(&mut self, block: &mut Block, filled: usize) {
        if self.way != Compression::Zstd {
            return;
        }
        let bytes = block.bytes.get(..filled).unwrap_or_default();
        block.parts = bytes.chunks(BLOCK_MAX).map(|plain| part(&mut self.compressor, plain)).collect();
    }

    /// Whether it pays at present.
    fn pays(&mut self, state: &State) -> bool {
        let now = clock::now();
        let (since, before) = *self.looked.get_or_insert((now, state.left));
        let passed = now.saturating_duration_since(since);
        if passed >= LOOK_EVERY {
            self.rate = Some(to_float(state.left.saturating_sub(before)) / passed.as_secs_f64());
            self.looked = Some((now, state.left));
        }
        self.rate.is_some_and(|rate| self.speed.pays_at(rate))
    }
}

impl Ahead {
    /// Uses the time until there is room: compresses a block of what waits, or sleeps. `is_so` says whether there is room, or else something to do.
    pub(super) fn pass_time(&mut self, mut is_so: impl FnMut(&mut State) -> bool) -> Result<(), Stopped> {
        loop {
            let mut state = self.board.lock();
            if state.is_stopped {
                return Err(Stopped);
            }
            if is_so(&mut state) {
                return Ok(());
            }
            drop(state);
            match self.step() {
                Step::Done => {}
                Step::Later => self.board.doze(LOOK_EVERY),
                Step::Nothing => return self.board.wait(is_so).map(drop),
            }
        }
    }

    /// All is read: compresses what waits, until that has left or nobody wants it.
    pub(super) fn pass_rest(&mut self) {
        while !self.board.lock().is_stopped {
            match self.step() {
                Step::Done => {}
                Step::Later => self.board.doze(LOOK_EVERY),
                Step::Nothing => return,
            }
        }
    }

    fn step(&mut self) -> Step {
        let press = &mut self.press;
        if press.way != Compression::Auto {
            return Step::Nothing;
        }
        let mut state = self.board.lock();
        let Some((start, bytes)) = state.ring.untried() else { return Step::Nothing };
        if !press.pays(&state) {
            return Step::Later;
        }
        if press.doubt.is_skipped() {
            state.ring.settle(start, Part::Plain);
            return Step::Done;
        }
        press.plain.clear();
        press.plain.extend_from_slice(bytes);
        drop(state);
        let began = clock::now();
        let part = part(&mut press.compressor, &press.plain);
        let took = clock::now().saturating_duration_since(began);
        let saved = if let Part::Compressed(bytes) = &part { press.plain.len() - bytes.len() } else { 0 };
        // What is in vain costs hardly anything: zstd sees it soon.
        if saved > 0 {
            press.speed.add(press.plain.len(), saved, took);
        }
        press.doubt.note(saved > 0);
        self.board.lock().ring.settle(start, part);
        Step::Done
    }
}

fn part(compressor: &mut Option<Compressor>, plain: &[u8]) -> Part {
    if compressor.is_none() {
        *compressor = Compressor::new();
    }
    let bytes = compressor.as_mut().filter(|_| plain.len() >= WORTH_IT).and_then(|it| it.compress(plain));
    bytes.map_or(Part::Plain, Part::Compressed)
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn to_float(bytes: u64) -> f64 {
    bytes as f64
}

/// How often the path is looked at. The first time it is not known yet; until then a handshake takes place.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Of pictures and archives one block of 32 is tried: 4 MiB.
const MISSES_MAX: u32 = 5;

/// A shorter block is a packet or less.
const WORTH_IT: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_become_smaller_is_tried_ever_less() {
        let mut doubt = Doubt::default();
        let mut tried = 0;
        for _ in 0..1000 {
            if !doubt.is_skipped() {
                tried += 1;
                doubt.note(false);
            }
        }
        assert!((30..45).contains(&tried), "{tried}");
        while doubt.is_skipped() {}
        doubt.note(true);
        assert!(!doubt.is_skipped());
    }

    #[test]
    fn it_pays_on_paths_that_are_slower() {
        let mut speed = Speed::default();
        assert!(speed.pays_at(1e12), "nobody knows before it was tried");
        // 400 MB/s, and half of it is saved.
        (0..100).for_each(|_| speed.add(400_000, 200_000, Duration::from_millis(1)));
        assert!(speed.pays_at(90e6) && !speed.pays_at(110e6));
        // Whoever is interrupted now and then is no slower for it.
        (0..20).for_each(|_| speed.add(400_000, 200_000, Duration::from_millis(9)));
        assert!(speed.pays_at(80e6));
        (0..1000).for_each(|_| speed.add(400_000, 40_000, Duration::from_millis(1)));
        assert!(speed.pays_at(15e6) && !speed.pays_at(25e6));
    }
}
