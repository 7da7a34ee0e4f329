//! A transfer as curves: rate, window, round trip and losses over time, and what held it back, in one SVG that needs nothing else.

mod axis;
mod columns;
mod pen;
mod track;

pub use track::{SAMPLES_MAX, Sample, Track};

use crate::limits::{Limit, Spent, shares};
use crate::name::Printable;
use crate::trace::quantity::{fitted, wrapped};
use crate::trace::svg::escape;
use axis::{Axis, unit, usual_height};
use columns::{Column, columns};
use pen::{HEADING, LEFT, Pen, RIGHT};

/// What is written above the curves.
#[derive(Clone, Debug, Default)]
pub struct Caption {
    /// What was copied where; made safe here.
    pub title: String,
    /// How it went, in a sentence or two; made safe here.
    pub summary: String,
    /// For how long it was held back by what, as judged at the end.
    pub verdict: Spent,
}

/// Draws a track. The picture is 900 pixels wide and shrinks with what it is embedded in. It has no ids, and all its classes begin with
/// `plot-`, so that any number of them live in one page.
pub fn plot(track: &Track, caption: &Caption) -> String {
    let columns = columns(track);
    let seconds = track.samples().last().map_or(0.0, |sample| sample.at.as_secs_f64());
    let title = Printable(&caption.title).to_string();
    let summary = Printable(&caption.summary).to_string();
    let mut pen = Pen::new(seconds, columns.len());
    pen.text("title", (MARGIN, 40.0), &fitted(&title, TITLE_WIDTH));
    let mut y = 65.0;
    for line in wrapped(&summary, SUMMARY_WIDTH) {
        pen.text("note", (MARGIN, y), &line);
        y += 20.0;
    }
    y += 12.0;
    if columns.is_empty() {
        pen.text("note", (MARGIN, y + 10.0), "There was too little to see.");
        return finish(pen, y + 34.0, &title, &summary);
    }
    y = rates(&mut pen, &columns, y);
    y = windows(&mut pen, &columns, y);
    y = round_trips(&mut pen, &columns, y);
    y = losses(&mut pen, &columns, y);
    y = strip(&mut pen, &columns, track, &caption.verdict, y);
    finish(pen, y, &title, &summary)
}

fn rates(pen: &mut Pen, columns: &[Column], top: f64) -> f64 {
    let paces = columns.iter().filter_map(|column| column.pace);
    let highest = usual_height(columns.iter().map(|column| column.rate), 0.0).max(usual_height(paces, 0.1));
    let (name, scale) = unit(highest, &["bit/s", "kbit/s", "Mbit/s", "Gbit/s"]);
    let axis = Axis::up_to(highest / scale, 4);
    let panel = pen.panel(top, RATE_HEIGHT, &format!("rate, {name}"), &[("rate", "delivered"), ("pace", "pace")], axis);
    pen.area("rate", panel, columns.iter().map(|column| column.rate / scale));
    pen.line("pace", panel, columns.iter().map(|column| column.pace.map(|pace| pace / scale)));
    pen.line("rate", panel, columns.iter().map(|column| Some(column.rate / scale)));
    panel.below()
}

fn windows(pen: &mut Pen, columns: &[Column], top: f64) -> f64 {
    let in_flight = usual_height(columns.iter().map(|column| column.in_flight), 0.0);
    let highest = usual_height(columns.iter().map(|column| column.window), 0.1).min(in_flight * 3.0).max(in_flight);
    let (name, scale) = unit(highest, &["B", "kB", "MB", "GB"]);
    let axis = Axis::up_to(highest / scale, 3);
    let legend = [("flight", "under way"), ("window", "congestion window")];
    let panel = pen.panel(top, WINDOW_HEIGHT, &format!("window, {name}"), &legend, axis);
    pen.area("flight", panel, columns.iter().map(|column| column.in_flight / scale));
    pen.line("window", panel, columns.iter().map(|column| Some(column.window / scale)));
    pen.line("flight", panel, columns.iter().map(|column| Some(column.in_flight / scale)));
    panel.below()
}

fn round_trips(pen: &mut Pen, columns: &[Column], top: f64) -> f64 {
    let highest = usual_height(columns.iter().filter_map(|column| column.rtt), 0.0);
    let axis = Axis::up_to(highest, 3);
    let panel =
        pen.panel(top, RTT_HEIGHT, "round trip, ms", &[("rtt", "smoothed"), ("least", "shortest so far")], axis);
    pen.line("least", panel, columns.iter().map(|column| column.min_rtt));
    pen.line("rtt", panel, columns.iter().map(|column| column.rtt));
    panel.below()
}

fn losses(pen: &mut Pen, columns: &[Column], top: f64) -> f64 {
    let losses = || columns.iter().map(|column| column.loss).filter(|loss| *loss > 0.0);
    // Most of a burst is one column; what is lost all the time is to be seen beside it.
    let highest = usual_height(losses(), 0.0).min(usual_height(losses(), 0.15) * 2.0);
    let axis = Axis::up_to(if highest > 0.0 { highest } else { 0.9 }, 2);
    let panel = pen.panel(top, LOSS_HEIGHT, "packets found lost, % of those sent", &[], axis);
    if highest > 0.0 {
        pen.bars("loss", panel, columns.iter().map(|column| column.loss));
    } else {
        pen.text("note", (LEFT + 10.0, top + HEADING + LOSS_HEIGHT / 2.0 + 5.0), "none");
    }
    panel.below()
}

/// What held the transfer back at each moment, and at the end what that comes to.
fn strip(pen: &mut Pen, columns: &[Column], track: &Track, verdict: &Spent, top: f64) -> f64 {
    let told = track.samples().last().map(|sample| sample.spent).unwrap_or_default();
    let limits: Vec<Option<Limit>> =
        columns.iter().map(|column| column.limit.map(|limit| in_the_end(limit, &told, verdict))).collect();
    let bottom = pen.strip(top, "held back by", &limits);
    let mut y = pen.time_axis(bottom);
    let mut x = LEFT;
    for share in shares(verdict) {
        let words = format!("{} {} %", share.limit.map_or("all else", Limit::words), share.percent);
        let width = 26.0 + words.chars().count() as f64 * LETTER;
        if x > LEFT && x + width > RIGHT {
            (x, y) = (LEFT, y + LEGEND_LINE);
        }
        pen.sample(share.limit, (x, y));
        pen.text("note", (x + 20.0, y + 5.0), &words);
        x += width + 14.0;
    }
    y + 24.0
}

/// What a limit turned out to be when the receiver had told its side.
fn in_the_end(limit: Limit, told: &Spent, verdict: &Spent) -> Limit {
    let culprits: &[Limit] = match limit {
        Limit::Path => &[Limit::PeerSocket, Limit::PeerProcessor],
        Limit::PeerDisk => &[Limit::PeerProcessor],
        _ => &[],
    };
    let culprit = culprits.iter().copied().max_by_key(|culprit| verdict.of(*culprit));
    match culprit {
        Some(culprit) if verdict.of(limit) * 2 < told.of(limit) && verdict.of(culprit) > verdict.of(limit) => culprit,
        _ => limit,
    }
}

fn finish(pen: Pen, height: f64, title: &str, summary: &str) -> String {
    let (right, bottom) = (WIDTH - 2.0, height - 2.0);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot-svg\" width=\"{WIDTH}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {WIDTH} {height:.0}\" style=\"max-width:100%;height:auto\" role=\"img\">\n\
         <title>{}</title>\n<desc>{}</desc>\n<style>{}</style>\n\
         <rect class=\"plot-card\" x=\"1\" y=\"1\" width=\"{right}\" height=\"{bottom:.0}\" rx=\"18\"/>\n{}</svg>\n",
        escape(title),
        escape(summary),
        pen::style(),
        pen.finish()
    )
}

const WIDTH: f64 = 900.0;
const MARGIN: f64 = 28.0;

const RATE_HEIGHT: f64 = 150.0;
const WINDOW_HEIGHT: f64 = 104.0;
const RTT_HEIGHT: f64 = 92.0;
const LOSS_HEIGHT: f64 = 52.0;

/// The widest of the usual fonts' letters, and a line of the legend.
const LETTER: f64 = 8.0;
const LEGEND_LINE: f64 = 24.0;

/// What fits, in characters.
const TITLE_WIDTH: usize = 70;
const SUMMARY_WIDTH: usize = 104;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn track(samples: u64) -> Track {
        let mut track = Track::default();
        let mut spent = Spent::default();
        for number in 0..samples {
            spent.add(if number % 50 < 25 { Limit::Path } else { Limit::Disk }, Duration::from_millis(3));
            track.add(Sample {
                at: Duration::from_millis(3 * number),
                delivered: number * number * 10,
                pace: if number < 10 { u64::MAX } else { 1_000_000 },
                window: u64::MAX,
                in_flight: number % 7 * 10_000,
                rtt: (number > 5).then(|| Duration::from_micros(number * 100)),
                min_rtt: None,
                packets: number,
                lost: number / 9,
                spent,
            });
        }
        track
    }

    #[test]
    fn a_picture_is_small_well_formed_and_says_what_it_shows() {
        let verdict = track(1000).samples().last().expect("one").spent;
        let caption = Caption { title: "a <b>\u{1b}[0m".into(), summary: "it & that".into(), verdict };
        for samples in [0, 1, 2, 30, 1000, 100_000] {
            let picture = plot(&track(samples), &caption);
            assert!(picture.len() < 60_000, "{samples}: {}", picture.len());
            assert!(picture.starts_with("<svg") && picture.ends_with("</svg>\n"));
            assert!(!picture.contains("NaN") && !picture.contains("inf"), "{samples}");
            assert!(picture.contains("it &amp; that") && !picture.contains("<b>") && !picture.contains('\u{1b}'));
            let has_panels =
                ["rate, ", "window, ", "round trip, ms", "held back by"].map(|words| picture.contains(words));
            assert_eq!(has_panels, [samples > 1; 4], "{samples}");
            assert_eq!(picture.contains("the path 50 %"), samples > 1, "{samples}");
            for tag in ["text", "svg", "style", "title", "desc"] {
                let (opened, closed) =
                    (picture.matches(&format!("<{tag}")).count(), picture.matches(&format!("</{tag}>")).count());
                assert_eq!(opened, closed, "{tag}");
            }
        }
    }

    #[test]
    fn the_strip_agrees_with_the_verdict() {
        let (mut told, mut verdict) = (Spent::default(), Spent::default());
        told.add(Limit::Path, Duration::from_secs(10));
        verdict.add(Limit::Path, Duration::from_secs(1));
        verdict.add(Limit::PeerSocket, Duration::from_secs(9));
        assert_eq!(in_the_end(Limit::Path, &told, &verdict), Limit::PeerSocket);
        assert_eq!(in_the_end(Limit::Path, &told, &told), Limit::Path);
        assert_eq!(in_the_end(Limit::Disk, &told, &verdict), Limit::Disk);
    }
}
