//! A track as columns of equal width: what there is to see at each place of the picture.

use super::track::{Sample, Track};
use crate::limits::{Limit, Spent};
use std::time::Duration;

/// What was so in a stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Column {
    /// Bits per second that arrived.
    pub rate: f64,
    /// Bits per second that were meant to leave; none where nothing is held back.
    pub pace: Option<f64>,
    /// Bytes that may be under way, and that are.
    pub window: f64,
    /// See [`Column::window`].
    pub in_flight: f64,
    /// Milliseconds, smoothed and the least.
    pub rtt: Option<f64>,
    /// See [`Column::rtt`].
    pub min_rtt: Option<f64>,
    /// The share of packets that were found lost, in percent.
    pub loss: f64,
    /// What held the transfer back for most of it.
    pub limit: Option<Limit>,
}

/// Cuts a track into columns; none of a track that shows nothing.
pub fn columns(track: &Track) -> Vec<Column> {
    let samples = track.samples();
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return Vec::new() };
    let count = samples.len().min(COLUMNS_MAX);
    let (width, whole) = (last.at.as_secs_f64() / count as f64, last.at.as_secs_f64());
    if whole <= 0.0 {
        return Vec::new();
    }
    let round_trip = last.min_rtt.unwrap_or_default().as_secs_f64();
    // Acknowledgements come in bunches: a rate is one of several. What holds back is judged a tenth of a second at a time.
    let (rate_over, limit_over) =
        (round_trip.clamp(whole / 70.0, whole / 10.0), width.max(LIMIT_OVER.min(whole / 20.0)));
    let mut column = Column { window: first.window as f64, ..Column::default() };
    let mut columns: Vec<Column> = (1..=count)
        .map(|number| {
            let (from, to) = (width * (number - 1) as f64, width * number as f64);
            let within = samples.get(place(samples, from)..place(samples, to)).unwrap_or_default();
            if !within.is_empty() {
                fill(&mut column, within);
            }
            // With another connection counts begin anew.
            let grown = |count: fn(&Sample) -> u64, over: f64| {
                (at(samples, to, count) - at(samples, to - over, count)).max(0.0)
            };
            column.rate = grown(|sample| sample.delivered, rate_over) * 8.0 / rate_over.min(to);
            // Losses are found in bursts, which are to be seen; what was sent meanwhile is that of a while.
            let packets = grown(|sample| sample.packets, rate_over) * width / rate_over.min(to);
            let lost = grown(|sample| sample.lost, width);
            column.loss = if lost <= 0.0 { 0.0 } else { (lost / packets.max(lost) * 100.0).min(100.0) };
            column.limit = spent(samples, to).since(&spent(samples, to - limit_over)).largest().or(column.limit);
            column
        })
        .collect();
    // What is not known yet at the very beginning is what comes to be known first.
    let known = columns.iter().find_map(|column| column.limit);
    columns.iter_mut().take_while(|column| column.limit.is_none()).for_each(|column| column.limit = known);
    columns
}

/// The means of what is seen at a moment.
fn fill(column: &mut Column, within: &[Sample]) {
    let mean = |value: &dyn Fn(&Sample) -> Option<f64>| {
        let values: Vec<f64> = within.iter().filter_map(value).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let millis = |time: Option<Duration>| time.map(|time| time.as_secs_f64() * 1e3);
    column.window = mean(&|sample| Some(sample.window as f64)).unwrap_or_default();
    column.in_flight = mean(&|sample| Some(sample.in_flight as f64)).unwrap_or_default();
    column.pace = mean(&|sample| Some(sample.pace as f64 * 8.0).filter(|_| sample.pace < u64::MAX));
    column.rtt = mean(&|sample| millis(sample.rtt)).or(column.rtt);
    column.min_rtt = mean(&|sample| millis(sample.min_rtt)).or(column.min_rtt);
}

/// How many samples there are before this second, or at it.
fn place(samples: &[Sample], second: f64) -> usize {
    samples.partition_point(|sample| sample.at.as_secs_f64() <= second)
}

/// What had held the transfer back by this second, or by the next look after it.
fn spent(samples: &[Sample], second: f64) -> Spent {
    let after = samples.partition_point(|sample| sample.at.as_secs_f64() < second);
    if second <= 0.0 {
        return Spent::default();
    }
    samples.get(after).or(samples.last()).map(|sample| sample.spent).unwrap_or_default()
}

/// A count at this second, as if it had grown evenly between two looks.
fn at(samples: &[Sample], second: f64, count: fn(&Sample) -> u64) -> f64 {
    let after = place(samples, second);
    let before = after.checked_sub(1).and_then(|before| samples.get(before));
    match (before, samples.get(after)) {
        (None, _) => 0.0,
        (Some(before), None) => count(before) as f64,
        (Some(before), Some(after)) => {
            let (from, to) = (before.at.as_secs_f64(), after.at.as_secs_f64());
            let share = (second - from) / (to - from).max(f64::MIN_POSITIVE);
            count(before) as f64 + (count(after) as f64 - count(before) as f64) * share
        }
    }
}

/// Twice as long as it may take until it is known that it was the processor.
const LIMIT_OVER: f64 = 0.1;

/// Two pixels each.
const COLUMNS_MAX: usize = 390;

#[cfg(test)]
mod tests {
    use super::*;

    fn track(seconds: u64) -> Track {
        let mut track = Track::default();
        let mut spent = Spent::default();
        for millis in 0..=seconds * 1000 {
            let is_late = millis >= seconds * 500;
            spent.add(if is_late { Limit::Disk } else { Limit::Path }, Duration::from_millis(1));
            track.add(Sample {
                at: Duration::from_millis(millis),
                delivered: millis * 1000,
                pace: if is_late { u64::MAX } else { 2_000_000 },
                window: 5000,
                in_flight: 3000,
                rtt: Some(Duration::from_millis(30)),
                min_rtt: Some(Duration::from_millis(20)),
                packets: millis * 10,
                lost: if is_late { millis - seconds * 500 } else { 0 },
                spent,
            });
        }
        track
    }

    #[test]
    fn columns_show_what_was_so() {
        let columns = columns(&track(10));
        assert!(columns.len() > 300, "{}", columns.len());
        let (early, late) = (columns[50], columns[columns.len() - 50]);
        for column in [early, late] {
            assert!((column.rate / 8e6 - 1.0).abs() < 0.02, "{column:?}");
            assert_eq!(
                (column.window, column.in_flight, column.rtt, column.min_rtt),
                (5000.0, 3000.0, Some(30.0), Some(20.0))
            );
        }
        assert_eq!((early.limit, early.pace, early.loss), (Some(Limit::Path), Some(16e6), 0.0));
        assert_eq!((late.limit, late.pace), (Some(Limit::Disk), None));
        assert!((late.loss - 10.0).abs() < 1.0, "{}", late.loss);
    }

    #[test]
    fn nothing_to_see_makes_no_columns() {
        let mut track = Track::default();
        assert_eq!(columns(&track), []);
        track.add(Sample::default());
        assert_eq!(columns(&track), []);
        track.end(Sample { at: Duration::from_millis(3), delivered: 10, ..Sample::default() });
        assert_eq!(columns(&track).len(), 2);
    }
}
