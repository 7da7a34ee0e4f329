//! How fast to send: which congestion controls there are, and how one is chosen.
//!
//! | word | control | for |
//! |---|---|---|
//! | `bbr` | [`Bbr`], a model of the path | everything; the default |
//! | `cubic` | [`Cubic`], as the TCP of most systems | sharing strictly as TCP does |
//! | `background` | [`Background`], yields to everybody else | what has time |
//! | `fixed:100m` | [`Fixed`], no control at all | a path that is yours alone |

pub mod background;
pub mod bbr;
mod controller;
pub mod cubic;
pub mod fixed;

use crate::chunker::wanted::Pace;
use crate::rate::NotARate;
use std::fmt;
use std::str::FromStr;

pub use background::Background;
pub use bbr::Bbr;
pub use controller::{Acked, Congestion, Lost, RateSample, Remembered, Start, initial_window, rate_of, volume_of};
pub use cubic::Cubic;
pub use fixed::Fixed;

/// Which congestion control to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// [`Bbr`].
    #[default]
    Bbr,
    /// [`Cubic`].
    Cubic,
    /// [`Background`].
    Background,
    /// [`Fixed`], at so many **bytes** per second.
    Fixed(u64),
}

impl From<Pace> for Choice {
    fn from(pace: Pace) -> Self {
        match pace {
            Pace::Bbr => Self::Bbr,
            Pace::Cubic => Self::Cubic,
            Pace::Background => Self::Background,
        }
    }
}

impl Choice {
    /// The control that was chosen, at the beginning of a connection.
    pub fn begin(self, start: &Start) -> Box<dyn Congestion> {
        match self {
            Self::Bbr => Box::new(Bbr::new(start)),
            Self::Cubic => Box::new(Cubic::new(start)),
            Self::Background => Box::new(Background::new(start)),
            Self::Fixed(rate) => Box::new(Fixed::new(rate, start)),
        }
    }
}

/// A word that names no congestion control, or a rate that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownChoice {
    /// Not one of the words.
    #[error("no congestion control is called `{0}`; there are bbr, cubic, background and fixed:<bits per second>")]
    Word(String),
    /// Not a rate.
    #[error(transparent)]
    Rate(#[from] NotARate),
}

impl FromStr for Choice {
    type Err = UnknownChoice;

    /// Reads a word of the table above. The rate after `fixed:` is one as [`crate::rate`] reads it: in **bits** per second, as in
    /// `100m`, unless it says bytes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "bbr" => Ok(Self::Bbr),
            "cubic" => Ok(Self::Cubic),
            "background" => Ok(Self::Background),
            _ => match text.strip_prefix("fixed:") {
                Some(rate) => Ok(Self::Fixed(crate::rate::parse(rate)?)),
                None => Err(UnknownChoice::Word(text.into())),
            },
        }
    }
}

impl fmt::Display for Choice {
    /// Prints what reads back as the same choice.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bbr => formatter.write_str(bbr::NAME),
            Self::Cubic => formatter.write_str(cubic::NAME),
            Self::Background => formatter.write_str(background::NAME),
            Self::Fixed(rate) => write!(formatter, "{}:{}", fixed::NAME, rate.saturating_mul(8)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::{Duration, Instant};

    #[test]
    fn choices_read_and_print_as_the_same() {
        for (text, choice) in [
            ("bbr", Choice::Bbr),
            ("cubic", Choice::Cubic),
            ("background", Choice::Background),
            ("fixed:100m", Choice::Fixed(12_500_000)),
            ("fixed:8", Choice::Fixed(1)),
            ("fixed:64k", Choice::Fixed(8000)),
            ("fixed:1000g", Choice::Fixed(125_000_000_000)),
        ] {
            assert_eq!(text.parse(), Ok(choice));
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
    }

    #[test]
    fn rates_that_are_none_are_refused() {
        for text in ["", "7", "0", "1001g", "m", "-1m", "+8", "10mbps", "99999999999999999999", "18446744073709551615g"]
        {
            let error = Err(UnknownChoice::Rate(NotARate(text.into())));
            assert_eq!(format!("fixed:{text}").parse::<Choice>(), error);
        }
        assert_eq!("reno".parse::<Choice>(), Err(UnknownChoice::Word("reno".into())));
    }

    proptest! {
        /// Peers choose what they acknowledge and when: whatever they say, packets can be sent and nothing overflows.
        #[test]
        fn no_peer_can_stop_or_break_a_control(
            events in proptest::collection::vec((0_u8..8, 0_u64..20_000_000_000, any::<u64>(), any::<u64>()), 1..60)
        ) {
            for choice in [Choice::Bbr, Choice::Cubic, Choice::Background, Choice::Fixed(1000)] {
                #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
                let mut now = Instant::now();
                let began = now;
                let mut control = choice.begin(&Start { now, mtu: 1200, rtt: Some(Duration::from_millis(1)), seed: 3, remembered: None });
                for &(event, nanos, one, other) in &events {
                    now += Duration::from_nanos(nanos);
                    let sent = now - Duration::from_nanos(one % (now - began).as_nanos().max(1) as u64);
                    let lost = Lost { now, sent, bytes: other, in_flight_then: one };
                    let rtt = now - sent;
                    let (rate, is_app_limited) = ((one % 3 > 0).then_some(other), one % 5 == 0);
                    let sample = RateSample {
                        sent, rtt, overtaken: rtt, delivered: one, lost: other, interval: rtt, rate, is_app_limited, is_late: one % 7 == 0,
                        in_flight_then: other, delivered_then: one.min(other), delivered_total: one,
                    };
                    match event {
                        0 => control.on_sent(now, 1200, one),
                        1 => control.on_lost(&lost),
                        2 => control.on_spurious_loss(&lost),
                        3 => control.on_congestion_signalled(now, sent),
                        4 => control.on_persistent_congestion(now),
                        5 => control.on_mtu((one % 65_507) as usize + 1),
                        6 => control.on_idle_restart(now),
                        _ => control.on_acked(&Acked {
                            now, bytes: other, in_flight_before: one, in_flight: other, sample, smoothed_rtt: rtt,
                            ack_delay: Duration::from_nanos(other % 50_000_000),
                        }),
                    }
                    prop_assert!(control.window() > 0 && control.pacing_rate() > 0, "{control:?}");
                }
            }
        }
    }
}
