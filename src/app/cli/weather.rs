//! Weather on the command line.

use crate::weather::{PRESETS, Weather};
use clap::Args;

/// Bad weather, in one vocabulary for all programs. Later words override earlier ones: the preset first, then --fault,
/// then the options named after a fault.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Weather")]
pub struct WeatherArgs {
    /// A named weather: clean, wifi, cellular, satellite, lab, hostile [default: clean].
    #[arg(long, value_name = "PRESET", value_parser = clap::builder::PossibleValuesParser::new(PRESETS.iter().map(|preset| preset.name)))]
    pub weather: Option<String>,
    /// Faults, as in loss=20%,dup=5%,out.delay=50ms; `in.` and `out.` mean one direction, seen from the server [default: none].
    #[arg(long, value_name = "LIST")]
    pub fault: Vec<String>,
    /// The same seed gives the same weather [default: a fresh one].
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Datagrams lost, as in 20% [default: 0%].
    #[arg(long, value_name = "P")]
    pub loss: Option<String>,
    /// Losses in bursts: the probabilities to enter and to leave one, as in 0.5%/20% [default: none].
    #[arg(long, value_name = "P/P")]
    pub burst: Option<String>,
    /// Datagrams that come twice [default: 0%].
    #[arg(long, value_name = "P")]
    pub dup: Option<String>,
    /// Datagrams that later ones overtake [default: 0%].
    #[arg(long, value_name = "P")]
    pub reorder: Option<String>,
    /// Datagrams that come 0.5 to 3 s late [default: 0%].
    #[arg(long, value_name = "P")]
    pub late: Option<String>,
    /// Datagrams with one bit flipped [default: 0%].
    #[arg(long, value_name = "P")]
    pub corrupt: Option<String>,
    /// Delay one way, as in 50ms or 1.5s [default: 0ms].
    #[arg(long, value_name = "T")]
    pub delay: Option<String>,
    /// Random delay on top, as in 20ms, order kept [default: 0ms].
    #[arg(long, value_name = "T")]
    pub jitter: Option<String>,
}

impl WeatherArgs {
    /// The weather that was asked for, on top of `base` words.
    ///
    /// # Errors
    /// A sentence about the first word that makes no sense.
    pub fn weather(&self, more: &[(&str, &Option<String>)]) -> Result<Weather, String> {
        let mut weather = Weather::default();
        let mut apply = |list: &str| weather.apply(list).map_err(|error| error.to_string());
        if let Some(preset) = &self.weather {
            apply(preset)?;
        }
        for list in &self.fault {
            apply(list)?;
        }
        let own = [
            ("loss", &self.loss),
            ("burst", &self.burst),
            ("dup", &self.dup),
            ("reorder", &self.reorder),
            ("late", &self.late),
            ("corrupt", &self.corrupt),
            ("delay", &self.delay),
            ("jitter", &self.jitter),
        ];
        for (word, value) in own.iter().chain(more) {
            if let Some(value) = value {
                apply(&format!("{word}={value}"))?;
            }
        }
        Ok(weather)
    }

    /// The seed that was given, or a fresh one.
    pub fn seed(&self) -> u64 {
        self.seed.unwrap_or_else(|| fastrand::u64(..=u64::from(u32::MAX)))
    }
}
