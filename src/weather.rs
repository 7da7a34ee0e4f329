//! A lossy link as a pure machine, and the words in which its weather is forecast.
//!
//! A [`Weather`] says what happens to packets in each direction, a [`Fault`] in one of them, and a
//! [`Link`] makes it happen: datagrams go in, and later, damaged, twice or never they come out.
//! There is no clock, no socket and no dice here. The time is an argument and the seed decides the
//! rest, so the same seed, faults and packets give the same bytes at the same moments.
//!
//! A packet meets the impairments in this order:
//!
//! 1. **mtu**: a packet too large for the path is gone (`oversize`).
//! 2. **queue and rate**: it waits its turn, or finds the queue full (`queue_dropped`).
//! 3. **loss and burst**: it is gone, but it has used the line (`lost`).
//! 4. **corrupt**: one of its bits is flipped.
//! 5. **dup**: a copy follows directly behind it, damaged if it was.
//! 6. **delay and jitter**: it travels, and never overtakes an ordinary packet.
//! 7. **reorder and late**: it is held back, alone, while later ones overtake it.
//!
//! Simulated worlds, the bad server and the relay all take their weather from the same words:
//!
//! ```
//! use homing::weather::{Link, Weather};
//!
//! # fn example(now: std::time::Instant) -> Result<(), homing::weather::ForecastError> {
//! let weather: Weather = "wifi,loss=20%,out.delay=50ms".parse()?;
//! let mut link = Link::new(weather.inward, 7);
//! link.send(now, "to the server", b"d | 1 | bytes".to_vec());
//! while let Some(due) = link.poll_timeout() {
//!     // A simulated world jumps to `due`; a relay sleeps until then.
//!     while let Some((tag, bytes)) = link.poll(due) {
//!         println!("{tag}: {} bytes", bytes.len());
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod forecast;
mod link;
mod misbehaviour;

use std::fmt;
use std::str::FromStr;

use forecast::WORDS;

pub use forecast::{Burst, Fault, ForecastError, parse_duration, parse_probability, parse_rate, parse_size};
pub use link::{Counts, Link};
pub use misbehaviour::{MISBEHAVIOURS, Misbehaviour, UnknownMisbehaviour};

/// What goes wrong on a path, direction by direction; the default is clean.
///
/// Written as a list such as `loss=20%,delay=50ms,out.rate=10mbit`. A word counts for both
/// directions unless `in.` or `out.` stands before it, and later words override earlier ones:
///
/// | word | value |
/// |---|---|
/// | `loss` `dup` `reorder` `late` `corrupt` | a probability: `20%` or `0.2` |
/// | `burst` | the probabilities to enter and to leave a burst of losses: `0.5%/20%` |
/// | `delay` `jitter` | a duration in `s`, `ms`, `us` or `ns`; a bare number is ms |
/// | `rate` | in `bit`, `kbit`, `mbit` or `gbit` per second, decimal; a bare number is bits |
/// | `queue` `mtu` | a size in bytes: `1500`, `64k` (1000 each), `64ki` (1024 each), `1m`, `1mi` |
///
/// `burst`, `rate`, `queue` and `mtu` can also be `off`. The name of a [preset](PRESETS) is a word
/// too, and replaces everything before it in its directions. An empty list changes nothing.
///
/// Prints as a list that reads back as an equal `Weather`, if its values are ones that words can
/// give, and as `clean` when nothing goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Weather {
    /// On the way toward the server.
    pub inward: Fault,
    /// On the way from the server.
    pub outward: Fault,
}

impl Weather {
    /// The weather of the preset called `name`.
    ///
    /// # Errors
    ///
    /// [`ForecastError::UnknownPreset`] if there is none.
    pub fn preset(name: &str) -> Result<Self, ForecastError> {
        match find_preset(name) {
            Some(preset) => preset.words.parse(),
            None => Err(ForecastError::UnknownPreset(name.into(), preset_names())),
        }
    }

    /// Changes what the words of `list` name, in their order.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the first word that cannot be used; then nothing has changed.
    pub fn apply(&mut self, list: &str) -> Result<(), ForecastError> {
        if list.trim().is_empty() {
            return Ok(());
        }
        let mut changed = *self;
        for (index, word) in list.split(',').map(str::trim).enumerate() {
            if word.is_empty() {
                return Err(ForecastError::EmptyWord(index + 1));
            }
            changed.apply_word(word)?;
        }
        *self = changed;
        Ok(())
    }

    fn apply_word(&mut self, word: &str) -> Result<(), ForecastError> {
        let Self { inward, outward } = *self;
        if let Some(plain) = word.strip_prefix("in.") {
            self.apply_both_ways(word, plain)?;
            self.outward = outward;
        } else if let Some(plain) = word.strip_prefix("out.") {
            self.apply_both_ways(word, plain)?;
            self.inward = inward;
        } else {
            self.apply_both_ways(word, word)?;
        }
        Ok(())
    }

    /// Applies `plain`, which is `word` without its prefix; errors show the whole.
    fn apply_both_ways(&mut self, word: &str, plain: &str) -> Result<(), ForecastError> {
        let (name, value) = match plain.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (plain, None),
        };
        if let Some(preset) = find_preset(name) {
            if value.is_some() {
                let right = word.split('=').next().unwrap_or(name);
                return Err(ForecastError::NeedlessValue(word.into(), right.into()));
            }
            *self = preset.words.parse()?;
            return Ok(());
        }
        let Some(known) = WORDS.iter().find(|known| known.name == name) else {
            return Err(ForecastError::UnknownWord(word.into(), all_names()));
        };
        let Some(value) = value else {
            let right = format!("{word}={}", known.example);
            return Err(ForecastError::MissingValue(word.into(), right));
        };
        known.set(&mut self.inward, word, value)?;
        known.set(&mut self.outward, word, value)
    }
}

impl FromStr for Weather {
    type Err = ForecastError;

    fn from_str(list: &str) -> Result<Self, ForecastError> {
        let mut weather = Self::default();
        weather.apply(list)?;
        Ok(weather)
    }
}

impl fmt::Display for Weather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        for word in WORDS {
            let name = word.name;
            let (inward, outward) = (word.show(self.inward), word.show(self.outward));
            if inward == outward {
                words.extend(inward.map(|value| format!("{name}={value}")));
            } else {
                words.extend(inward.map(|value| format!("in.{name}={value}")));
                words.extend(outward.map(|value| format!("out.{name}={value}")));
            }
        }
        if words.is_empty() { f.pad("clean") } else { f.pad(&words.join(",")) }
    }
}

/// A weather with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    /// What to call it.
    pub name: &'static str,
    /// The list of words that it stands for.
    pub words: &'static str,
    /// What it is like, for people.
    pub sentence: &'static str,
}

/// The named weathers, from the kindest to the worst.
pub const PRESETS: &[Preset] = &[
    Preset { name: "clean", words: "", sentence: "Nothing goes wrong." },
    // 802.11 repeats what it loses, so loss is rare and comes in fades; the repeats cost time.
    Preset {
        name: "wifi",
        words: "delay=3ms,jitter=6ms,loss=0.2%,burst=0.05%/25%,rate=100mbit,queue=256k",
        sentence: "Two rooms from the access point: 100 Mbit/s, 3 to 9 ms each way, 0.4 % lost, \
                   half of it in fades of four packets.",
    },
    // Radio repeats cost tens of ms, handovers lose a run of packets, and the queues are deep.
    Preset {
        name: "cellular",
        words: "delay=30ms,jitter=25ms,loss=0.3%,burst=0.05%/10%,reorder=0.1%,\
                in.rate=10mbit,out.rate=40mbit,queue=1m",
        sentence: "A phone (LTE) in a moving train: 10 Mbit/s up, 40 Mbit/s down, 30 to 55 ms \
                   each way plus a deep queue, 0.8 % lost, half of it in bursts of ten.",
    },
    // 35,786 km up and as far down take 239 ms; coding and scheduling take the rest.
    Preset {
        name: "satellite",
        words: "delay=290ms,jitter=20ms,loss=0.5%,burst=0.02%/5%,in.rate=5mbit,out.rate=50mbit",
        sentence: "A geostationary satellite: 5 Mbit/s up, 50 Mbit/s down, 290 to 310 ms each way, \
                   0.9 % lost, some of it in rain fades of twenty.",
    },
    // What the exercise asks a server to survive.
    Preset {
        name: "lab",
        words: "loss=15%,delay=1100ms",
        sentence: "The lab exercise: 15 % lost and 1100 ms each way, nothing else.",
    },
    // No path is like this for long; each number is several times what a bad one shows.
    Preset {
        name: "hostile",
        words: "loss=10%,burst=1%/25%,dup=5%,reorder=10%,late=2%,corrupt=2%,\
                delay=40ms,jitter=30ms",
        sentence: "Everything at once: 13 % lost, some in bursts of four, 5 % doubled, 10 % \
                   overtaken, 2 % seconds late, 2 % damaged, 40 to 70 ms each way.",
    },
];

fn find_preset(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

fn preset_names() -> String {
    let names: Vec<_> = PRESETS.iter().map(|preset| preset.name).collect();
    names.join(", ")
}

fn all_names() -> String {
    let names: Vec<_> = WORDS.iter().map(|word| word.name).collect();
    let (words, presets) = (names.join(", "), preset_names());
    format!("{words}, each also as in.WORD or out.WORD for one direction, and {presets}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn read(list: &str) -> Weather {
        list.parse().expect("a good list")
    }

    fn both(fault: Fault) -> Weather {
        Weather { inward: fault, outward: fault }
    }

    #[test]
    fn every_word_finds_its_place() {
        let list = "loss=20%,dup=5%,reorder=10%,delay=50ms,jitter=20ms,corrupt=1%,late=2%,\
                    burst=0.5%/20%,rate=10mbit,queue=64k,mtu=1500";
        let fault = Fault {
            loss: 0.2,
            burst: Some(Burst { enter: 0.005, leave: 0.2 }),
            dup: 0.05,
            reorder: 0.1,
            late: 0.02,
            corrupt: 0.01,
            delay: Duration::from_millis(50),
            jitter: Duration::from_millis(20),
            rate: Some(10_000_000),
            queue: Some(64_000),
            mtu: Some(1500),
        };
        assert_eq!(read(list), both(fault));
    }

    #[test]
    fn good_lists_mean_what_they_say() {
        let table = [
            ("", ""),
            ("  ", "clean"),
            ("clean", ""),
            ("loss=0", "clean"),
            (" loss=20% , dup=5% ", "loss=0.2,dup=0.05"),
            ("loss=1%,loss=2%", "loss=2%"),
            ("loss=1%,in.loss=2%", "out.loss=1%,in.loss=2%"),
            ("in.loss=2%,loss=1%", "loss=1%"),
            ("rate=1mbit,rate=off", "clean"),
            ("rate=1mbit,out.rate=off", "in.rate=1mbit"),
            ("lab", "loss=15%,delay=1100"),
            ("lab,loss=1%", "loss=1%,delay=1.1s"),
            ("dup=5%,lab", "lab"),
            ("dup=5%,in.lab", "out.dup=5%,in.loss=15%,in.delay=1100ms"),
            ("hostile,out.clean", "in.hostile"),
        ];
        for (list, same) in table {
            assert_eq!(read(list), read(same), "{list:?}");
        }
    }

    #[test]
    fn a_bad_word_says_which_what_and_what_would_be_right() {
        let known = "loss, burst, dup, reorder, late, corrupt, delay, jitter, rate, queue, mtu, \
                     each also as in.WORD or out.WORD for one direction, \
                     and clean, wifi, cellular, satellite, lab, hostile";
        let unknown = |word: &str| format!("\"{word}\" is not a known word; known are {known}");
        let table = [
            ("dup=5%,los=20%", unknown("los=20%")),
            ("up.loss=20%", unknown("up.loss=20%")),
            ("in.in.loss=20%", unknown("in.in.loss=20%")),
            ("in.", unknown("in.")),
            ("=", unknown("=")),
            ("LOSS=2%", unknown("LOSS=2%")),
            ("loss\u{1b}=2%", unknown("loss\\u{1b}=2%")),
            ("loss=2%,,dup=1%", "word 2 is empty; write one comma between two words and none at the end".into()),
            ("loss=2%,", "word 2 is empty; write one comma between two words and none at the end".into()),
            ("in.loss", "\"in.loss\" needs a value; write it like in.loss=20%".into()),
            ("wifi=2", "\"wifi=2\" has a value, but a preset takes none; write wifi".into()),
            ("in.wifi=2", "\"in.wifi=2\" has a value, but a preset takes none; write in.wifi".into()),
            ("dup=x", "\"dup=x\" is not understood; write a probability like 20% or 0.2".into()),
            (
                "out.loss=120%",
                "\"out.loss=120%\" is out of range; \
                 a probability is at least 0% and at most 100% (0 to 1)"
                    .into(),
            ),
            (
                "burst=5%",
                "\"burst=5%\" is not understood; write the probabilities to enter and to leave \
                 a burst like 0.5%/20%, or off"
                    .into(),
            ),
            (
                "delay=2h",
                "\"delay=2h\" is not understood; \
                 write a duration like 50ms, 1.5s or 200us (a bare number is ms)"
                    .into(),
            ),
            ("rate=0", "\"rate=0\" is out of range; a rate is at least 1bit and at most 1000gbit".into()),
            ("mtu=67", "\"mtu=67\" is out of range; an mtu is at least 68 and at most 65535 bytes".into()),
        ];
        for (list, sentence) in table {
            let error = list.parse::<Weather>().expect_err(list);
            assert_eq!(error.to_string(), sentence, "{list:?}");
        }
    }

    #[test]
    fn a_list_with_a_bad_word_changes_nothing() {
        let mut weather = read("lab");
        assert!(weather.apply("loss=1%,dup=x").is_err());
        assert_eq!(weather, read("lab"));
        assert_eq!(weather.apply("loss=1%"), Ok(()));
        assert_eq!(weather, read("lab,loss=1%"));
    }

    #[test]
    fn presets_read_as_their_words_and_are_called_like_no_word() {
        for preset in PRESETS {
            let weather = Weather::preset(preset.name).expect("it is listed");
            assert_eq!(weather, read(preset.words), "{}", preset.name);
            assert_eq!(weather, read(preset.name), "{}", preset.name);
            assert!(preset.sentence.ends_with('.'));
            assert!(WORDS.iter().all(|word| word.name != preset.name));
            // Otherwise reading one preset could lead to another, and back.
            assert!(PRESETS.iter().all(|other| !preset.words.contains(other.name)));
        }
        let error = Weather::preset("sunny").expect_err("there is none");
        assert_eq!(
            error.to_string(),
            "\"sunny\" is not a preset; \
             the presets are clean, wifi, cellular, satellite, lab, hostile"
        );
    }

    #[test]
    fn the_lab_is_loss_and_delay_and_nothing_else() {
        let fault = Fault { loss: 0.15, delay: Duration::from_millis(1100), ..Fault::default() };
        assert_eq!(Weather::preset("lab"), Ok(both(fault)));
        assert_eq!(Weather::preset("clean"), Ok(Weather::default()));
    }

    #[test]
    fn presets_lose_what_their_sentences_say() {
        for (name, percent) in [("wifi", 0.4), ("cellular", 0.8), ("satellite", 0.9)] {
            let fault = Weather::preset(name).expect("it is listed").inward;
            let Burst { enter, leave } = fault.burst.expect("it has bursts");
            let in_bursts = enter / (enter + leave);
            let lost = in_bursts + fault.loss * (1.0 - in_bursts);
            assert!((lost * 100.0 - percent).abs() < 0.05, "{name}: {lost}");
        }
    }

    #[test]
    fn weather_prints_in_the_order_of_the_vocabulary() {
        let table = [
            ("", "clean"),
            ("delay=1100,loss=0.15", "loss=15%,delay=1100ms"),
            ("in.loss=1%,rate=1mbit", "in.loss=1%,rate=1mbit"),
            ("out.loss=1%,in.loss=2%", "in.loss=2%,out.loss=1%"),
            ("burst=0/1,queue=65536,mtu=9k", "burst=0%/100%,queue=64ki,mtu=9000"),
        ];
        for (list, printed) in table {
            assert_eq!(read(list).to_string(), printed);
        }
        assert_eq!(format!("{:>7}", Weather::default()), "  clean");
    }

    fn any_chance() -> impl Strategy<Value = f64> {
        prop_oneof![Just(0.0), Just(1.0), 0.0..=1.0, (0..=10_000_u32).prop_map(|n| f64::from(n) / 10_000.0)]
    }

    fn any_time() -> impl Strategy<Value = Duration> {
        prop_oneof![
            Just(Duration::ZERO),
            (0..=3_600_000_u64).prop_map(Duration::from_millis),
            (0..=3_600_000_000_000_u64).prop_map(Duration::from_nanos)
        ]
    }

    fn any_fault() -> impl Strategy<Value = Fault> {
        let chances = [(); 5].map(|()| any_chance());
        let burst = proptest::option::of((any_chance(), any_chance()));
        let times = (any_time(), any_time());
        let limits = (
            proptest::option::of(1..=1_000_000_000_000_u64),
            proptest::option::of(1..=64_usize << 20),
            proptest::option::of(68..=65_535_usize),
        );
        (chances, burst, times, limits).prop_map(|(chances, burst, times, limits)| {
            let [loss, dup, reorder, late, corrupt] = chances;
            let burst = burst.map(|(enter, leave)| Burst { enter, leave });
            let (delay, jitter) = times;
            let (rate, queue, mtu) = limits;
            Fault { loss, burst, dup, reorder, late, corrupt, delay, jitter, rate, queue, mtu }
        })
    }

    fn any_weather() -> impl Strategy<Value = Weather> {
        let one_way = (any_fault(), any_fault());
        prop_oneof![any_fault().prop_map(both), one_way.prop_map(|(inward, outward)| Weather { inward, outward })]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn what_is_printed_reads_back_as_the_same(weather in any_weather()) {
            prop_assert_eq!(weather.to_string().parse(), Ok(weather));
        }

        #[test]
        fn no_text_makes_the_reader_panic(list in "[a-z.=%/,0-9 ]{0,40}|\\PC{0,20}") {
            let _: Result<Weather, _> = list.parse();
        }
    }
}
