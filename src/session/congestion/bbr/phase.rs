//! What the control is doing, and how eager it is then (draft-ietf-ccwg-bbr sections 5.1 and 5.6.1).

use std::time::Instant;

/// The states of the draft's diagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Doubles the rate every round, until that brings nothing more.
    Startup,
    /// Lets the queue of Startup run dry; began in this round.
    Drain(u64),
    /// ProbeBW: a little slower than the path, until the queue of the last probe has run dry.
    Down,
    /// ProbeBW: as fast as the path.
    Cruise,
    /// ProbeBW: fills the pipe for a round, before more is tried.
    Refill,
    /// ProbeBW: tries whether the path carries more.
    Up,
    /// Half a pipe, to see the path without a queue.
    ProbeRtt(Dwell),
}

/// How long ProbeRTT lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dwell {
    /// More than half a pipe is still in flight.
    Emptying,
    /// It lasts at least until then, and until this round has ended.
    Until(Instant, u64),
}

impl Phase {
    /// The pacing rate as a multiple of the bandwidth: draft section 5.6.1.
    pub fn pacing_gain(self) -> f64 {
        match self {
            Self::Startup => 2.77,
            Self::Drain(_) => 0.5,
            Self::Down => 0.9,
            Self::Cruise | Self::Refill | Self::ProbeRtt(_) => 1.0,
            Self::Up => 1.25,
        }
    }

    /// The window as a multiple of the bandwidth-delay product: draft section 5.6.1.
    pub fn window_gain(self) -> f64 {
        match self {
            Self::Up => 2.25,
            Self::ProbeRtt(_) => PROBE_RTT_GAIN,
            _ => 2.0,
        }
    }

    /// Whether more is tried than is known to be carried.
    pub fn is_probing(self) -> bool {
        matches!(self, Self::Startup | Self::Refill | Self::Up)
    }

    /// Whether it belongs to the cycle of ProbeBW.
    pub fn is_cycling(self) -> bool {
        matches!(self, Self::Down | Self::Cruise | Self::Refill | Self::Up)
    }

    /// Whether packets leave slower than the path delivers.
    pub fn is_slow(self) -> bool {
        matches!(self, Self::Drain(_) | Self::Down)
    }

    /// Its name in the draft.
    pub fn name(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Drain(_) => "Drain",
            Self::Down => "ProbeBW_DOWN",
            Self::Cruise => "ProbeBW_CRUISE",
            Self::Refill => "ProbeBW_REFILL",
            Self::Up => "ProbeBW_UP",
            Self::ProbeRtt(_) => "ProbeRTT",
        }
    }
}

/// Draft section 2.16.2: `ProbeRTTCwndGain`.
pub const PROBE_RTT_GAIN: f64 = 0.5;
