//! What is looked at while a transfer goes on: what holds it back at present and on the whole, and the curves of a plot.

use crate::io::events::windowed::{LimitNote, PathNote};
use crate::io::events::{Note, Report, bytes, per_second};
use crate::limits::{Limit, Sending, Spent, Strain};
use crate::session::congestion::Choice;
use crate::session::windowed::upload::Stats;
use crate::trace::plot::{Caption, Sample, Track, plot};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Looks {
    /// Where the plot goes, if one is wanted.
    file: Option<PathBuf>,
    track: Track,
    /// What had held the transfer back when that was told last.
    told: Spent,
    /// What the receiver said of itself at the end.
    strain: Option<Strain>,
}

impl Looks {
    /// Nothing was seen yet; a plot goes into `file`.
    pub(super) fn new(file: Option<PathBuf>) -> Self {
        Self { file, ..Self::default() }
    }

    /// Another connection begins, of which nothing was seen yet.
    pub(super) fn begin_anew(&mut self) {
        (self.told, self.strain) = Default::default();
    }

    /// Takes a look, so long after the beginning.
    pub(super) fn look(&mut self, stats: &Stats, at: Duration) {
        if self.file.is_some() {
            self.track.add(sample(stats, at));
        }
    }

    /// What has held the transfer back since this was asked last.
    pub(super) fn present(&mut self, stats: &Stats) -> Option<Limit> {
        let before = std::mem::replace(&mut self.told, stats.spent);
        stats.spent.since(&before).largest()
    }

    /// The receiver has told its side.
    pub(super) fn on_strain(&mut self, strain: Option<Strain>) {
        self.strain = strain;
    }

    /// For how long the transfer was held back by what.
    pub(super) fn verdict(&self, stats: &Stats, choice: Choice) -> Spent {
        let counts = stats.counts;
        let lost = counts.lost.saturating_sub(counts.spurious);
        let sent = Sending { packets: counts.packets, lost, lost_runs: counts.lost_runs, tolerance: tolerance(choice) };
        self.strain.map_or(stats.spent, |strain| stats.spent.with(&strain, &sent))
    }

    /// What is told of the path at the end.
    pub(super) fn path(&self, stats: &Stats, choice: Choice) -> PathNote {
        let verdict = self.verdict(stats, choice);
        PathNote {
            loss: loss(stats),
            bytes_again: stats.repeated,
            packet_size: stats.packet_size,
            congestion: choice.to_string(),
            cipher: stats.cipher.map(|cipher| cipher.to_string()).unwrap_or_default(),
            verdict: crate::limits::sentence(&verdict),
            limits: LimitNote::all(&verdict),
            receiver_drops: self.strain.map(|strain| strain.drops),
        }
    }

    /// Draws the plot, if one is wanted, of so many bytes that were copied from here to there in a time.
    pub(super) fn draw(
        mut self,
        (title, size, took): (String, u64, Duration),
        (stats, choice): (&Stats, Choice),
        report: &mut dyn Report,
    ) -> io::Result<()> {
        let Some(file) = self.file.take() else { return Ok(()) };
        self.track.end(sample(stats, took));
        let (seconds, rtt_ms) = (took.as_secs_f64(), stats.rtt.map(|rtt| rtt.as_secs_f64() * 1e3));
        let megabits = per_second(size, seconds) as f64 * 8e-6;
        let path = self.path(stats, choice).words(rtt_ms);
        let summary = format!("{} in {seconds:.2} s ({megabits:.1} Mbit/s){path}", bytes(size));
        let picture = plot(&self.track, &Caption { title, summary, verdict: self.verdict(stats, choice) });
        match fs::write(&file, picture) {
            Ok(()) => Ok(()),
            Err(error) => report.note(&Note::Remark { text: format!("cannot write {}: {error}", file.display()) }),
        }
    }
}

/// The share of packets that were lost, from 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "for the eye")]
pub(super) fn loss(stats: &Stats) -> f64 {
    let counts = stats.counts;
    counts.lost.saturating_sub(counts.spurious) as f64 / counts.packets.max(1) as f64
}

fn sample(stats: &Stats, at: Duration) -> Sample {
    let Stats { counts, acknowledged, pacing_rate, window, in_flight, rtt, min_rtt, spent, .. } = *stats;
    Sample {
        at,
        delivered: acknowledged,
        pace: if counts.packets == 0 { u64::MAX } else { pacing_rate },
        window,
        in_flight,
        rtt,
        min_rtt,
        packets: counts.packets,
        lost: counts.lost.saturating_sub(counts.spurious),
        spent,
    }
}

/// From which share of losses on a congestion control sends less: 2 % is BBR's (draft-ietf-ccwg-bbr section 2.7, `LossThresh`), and a rate that is
/// fixed is as good as what is left of it; to the others every loss says something, and one in a thousand packets is one in a few
/// round trips.
fn tolerance(choice: Choice) -> f64 {
    match choice {
        Choice::Bbr | Choice::Fixed(_) => 0.02,
        Choice::Cubic | Choice::Background => 0.001,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::windowed::flight::Counts;

    #[test]
    fn the_verdict_counts_what_the_receiver_says() {
        let mut spent = Spent::default();
        spent.add(Limit::Path, Duration::from_secs(1));
        let counts = Counts { packets: 1000, lost: 30, lost_runs: 30, ..Counts::default() };
        let stats = Stats { counts, spent, ..Stats::default() };
        let mut looks = Looks::default();
        assert_eq!(looks.verdict(&stats, Choice::Bbr).largest(), Some(Limit::Path));
        looks.on_strain(Some(Strain { drops: 30, ..Strain::default() }));
        assert_eq!(looks.verdict(&stats, Choice::Bbr).largest(), Some(Limit::PeerSocket));
        let path = looks.path(&stats, Choice::Bbr);
        assert_eq!(path.verdict.as_deref(), Some("limited by socket drops at the receiver 100 %"));
        assert_eq!((path.limits.len(), path.limits[0].limit, path.receiver_drops), (1, "peer_socket", Some(30)));
    }

    #[test]
    fn what_is_told_meanwhile_is_what_is_so_at_present() {
        let mut looks = Looks::default();
        let mut stats = Stats::default();
        stats.spent.add(Limit::Delay, Duration::from_secs(3));
        assert_eq!(looks.present(&stats), Some(Limit::Delay));
        stats.spent.add(Limit::Input, Duration::from_millis(3));
        assert_eq!(looks.present(&stats), Some(Limit::Input));
        assert_eq!(looks.present(&stats), None);
    }
}
