//! How peers number their chunks, and what a number says of the chunk that carries it.

/// How a peer numbers its chunks. What is not known yet is found out from the first ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbering {
    /// Ours: from the start's number plus one, exactly.
    Exact,
    /// A plain peer that counts: from the start's number plus 0, 1 or 2; the last kind goes on in steps of 2.
    Counting {
        /// The step, once the first chunk showed it.
        step: u64,
    },
    /// Compact, one chunk or none so far: it may alternate (2023) or count (2021).
    Undecided,
    /// Compact of 2023: 1, 0, 1, 0, ...
    Alternating,
}

/// What a chunk's number says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The next one, under this numbering.
    New(Numbering),
    /// The last one again.
    Duplicate,
    /// An earlier one, or none of this transfer.
    Stale,
}

impl Numbering {
    /// What the number `seq` says of a chunk, when the start had the number `start` and the last new chunk `last`.
    pub fn judge(self, start: u64, last: Option<u64>, seq: u64) -> Verdict {
        let Some(last) = last else {
            return self.judge_first(start, seq);
        };
        if seq == last {
            return Verdict::Duplicate;
        }
        let (next, numbering) = match self {
            Numbering::Exact => (last.wrapping_add(1), self),
            Numbering::Counting { step } => (last.wrapping_add(step), self),
            Numbering::Alternating => (1 - last.min(1), self),
            Numbering::Undecided if seq == 0 => (0, Numbering::Alternating),
            Numbering::Undecided => (2, Numbering::Counting { step: 1 }),
        };
        if seq == next { Verdict::New(numbering) } else { Verdict::Stale }
    }

    fn judge_first(self, start: u64, seq: u64) -> Verdict {
        match (self, seq.checked_sub(start)) {
            (Numbering::Exact, Some(1)) => Verdict::New(Numbering::Exact),
            (Numbering::Counting { .. }, Some(0 | 1)) => Verdict::New(Numbering::Counting { step: 1 }),
            (Numbering::Counting { .. } | Numbering::Undecided, Some(2)) => {
                Verdict::New(Numbering::Counting { step: 2 })
            }
            (Numbering::Undecided, Some(1)) => Verdict::New(Numbering::Undecided),
            _ => Verdict::Stale,
        }
    }

    /// The numbering that holds once a chunk with this verdict was taken.
    pub fn after(self, verdict: Verdict) -> Numbering {
        match verdict {
            Verdict::New(numbering) => numbering,
            Verdict::Duplicate | Verdict::Stale => self,
        }
    }

    /// The number that acknowledges a chunk; `None` while one answer must serve two readings.
    pub fn next_after(self, seq: u64) -> Option<u64> {
        match self {
            Numbering::Exact | Numbering::Counting { .. } => Some(seq.wrapping_add(1)),
            Numbering::Alternating => Some(seq.wrapping_add(1) % 2),
            Numbering::Undecided => None,
        }
    }

    /// What betrays a new chunk of `length` bytes as wrongly let in by an alternating bit, or a peer of ours that says more
    /// than it announced. Other plain peers may overshoot; their file is cut at its size. `first` is the first chunk's length,
    /// `left` what the size still leaves.
    pub fn slip(self, length: usize, first: Option<usize>, left: u64) -> Option<&'static str> {
        let overshoots = length as u64 > left;
        let is_last = length as u64 == left;
        match self {
            Numbering::Exact if overshoots => Some("more bytes came than the start announced"),
            Numbering::Alternating | Numbering::Undecided if overshoots => {
                Some("more bytes came than the start announced: a chunk was probably taken twice")
            }
            Numbering::Alternating if first.is_some_and(|first| length > first || (length < first && !is_last)) => {
                Some("a chunk of another length came in the middle: one was probably taken twice or left out")
            }
            _ => None,
        }
    }
}
