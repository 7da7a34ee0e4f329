//! What the congestion controls reach on the bench: rates, queues, shares. `--nocapture` shows every figure.

use crate::bottleneck::{PACKET, Path, Plan, Report, run};
use homing::session::congestion::{Choice, Remembered};
use std::fmt::Write;
use std::time::Duration;

const MBIT: u64 = 1_000_000;
const LOSS_PERCENT: [f64; 6] = [0.0, 0.1, 1.0, 5.0, 10.0, 20.0];
const BURSTS: Option<(f64, f64)> = Some((0.005, 0.2));

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn bbr() -> Plan {
    Plan::ours(Choice::Bbr)
}

/// 100 Mbit/s with so many milliseconds there and back.
fn path(rtt_ms: u64, queue_bdp: f64) -> Path {
    Path::clean(100 * MBIT, rtt_ms, queue_bdp)
}

/// What of what the path lets through arrived, in percent.
fn percent(report: &Report, path: &Path, from: usize, to: usize) -> f64 {
    let bits: f64 = report.flows.iter().map(|flow| flow.goodput(from, to) * 8.0).sum();
    bits / (path.rate as f64 * (1.0 - path.loss)) * 100.0
}

#[test]
fn bbr_holds_its_rate_where_packets_are_lost_by_chance() {
    for (loss, steady_min, whole_min) in LOSS_PERCENT
        .into_iter()
        .zip([97.0, 95.0, 95.0, 93.0, 88.0, 85.0])
        .zip([90.0, 90.0, 89.0, 86.0, 80.0, 75.0])
        .map(|((loss, steady), whole)| (loss, steady, whole))
    {
        let path = Path { loss: loss / 100.0, ..path(100, 1.0) };
        let report = run(&path, &[bbr()], secs(30), 1);
        let steady = percent(&report, &path, 3, 30);
        let whole = run(&path, &[Plan { bytes: Some(100_000_000), ..bbr() }], secs(30), 1);
        // Besides two round trips of handshake and the last one, in which the end is confirmed.
        let took = whole.flows[0].finished.expect("an end").as_secs_f64() + 0.3;
        let whole = 800e6 / (path.rate as f64 * (1.0 - path.loss)) / took * 100.0;
        println!("loss {loss} %: steady {steady:.1} % (of {steady_min}), whole 100 MB {whole:.1} % (of {whole_min})");
        assert!(steady >= steady_min && whole >= whole_min, "at {loss} %: {steady:.1}, {whole:.1}");
    }
}

#[test]
fn bbr_fills_the_line_also_where_packets_are_lost_before_it() {
    for loss in LOSS_PERCENT {
        let path = Path { loss_before: loss / 100.0, ..path(100, 1.0) };
        let steady = percent(&run(&path, &[bbr()], secs(20), 1), &path, 3, 20);
        println!("loss {loss} % before the line: {steady:.1} %");
        assert!(steady >= 95.0, "at {loss} %: {steady:.1} %");
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes long; cargo test --release --test sim runs it")]
fn bbr_sees_that_a_shallow_queue_overflows() {
    for (rate, rtt, queue, steady_min) in [
        (100, 40, 64_000, 93.0),
        (100, 40, 16_000, 93.0),
        (100, 100, 64_000, 93.0),
        (1000, 20, 64_000, 93.0),
        (10, 40, 16_000, 90.0),
    ] {
        for loss in [0.0, 0.01] {
            let path = Path { queue, loss, ..Path::clean(rate * MBIT, rtt, 1.0) };
            let report = run(&path, &[bbr()], secs(20), 1);
            let (steady, again) = (percent(&report, &path, 3, 20), report.flows[0].sent_again(3, 20) * 100.0);
            println!(
                "{rate} Mbit/s, {rtt} ms, {queue} bytes of queue, loss {loss}: {steady:.1} %, {again:.2} % sent again"
            );
            assert!(steady >= steady_min && again < 5.0, "{steady:.1} %, {again:.2} % again");
        }
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes long; cargo test --release --test sim runs it")]
fn jitter_and_bursts_of_losses_do_not_make_bbr_slow() {
    for rtt in [40, 100] {
        for (jitter, burst) in [(rtt / 2, None), (0, BURSTS), (rtt / 2, BURSTS)] {
            for queue in [0.5, 1.0, 4.0] {
                let path = Path { jitter: Duration::from_millis(jitter), burst, ..path(rtt, queue) };
                let report = run(&path, &[bbr()], secs(20), 1);
                let steady = percent(&report, &path, 3, 20) / if burst.is_some() { 0.9756 } else { 1.0 };
                println!("{rtt} ms + {jitter} ms of jitter, bursts {burst:?}, queue {queue} BDP: {steady:.1} %");
                assert!(steady >= 88.0, "{steady:.1} %");
            }
        }
    }
}

/// At 100 ms a CUBIC that begins together with us is overrun in slow start and takes minutes to recover; there it
/// begins first. Who begins later meets the queue as it happens to be: so several beginnings make one figure.
#[test]
#[cfg_attr(debug_assertions, ignore = "takes long; cargo test --release --test sim runs it")]
fn bbr_and_a_tcp_share_the_line() {
    let (at_once, later): (&[u64], &[u64]) = (&[0], &[3000, 3400, 3800, 4200, 4600, 5000]);
    // A machine that is kept from sending for 5 ms now and then takes no more than others.
    let busy = Some((Duration::from_millis(53), Duration::from_millis(5)));
    for (rate, rtt, begins, busy) in [
        (100, 20, at_once, None),
        (100, 40, at_once, None),
        (100, 40, later, None),
        (100, 40, later, busy),
        (100, 100, later, None),
        (10, 20, at_once, None),
        (10, 40, at_once, None),
        (10, 100, at_once, None),
    ] {
        let path = Path::clean(rate * MBIT, rtt, 1.0);
        let shares: Vec<f64> = begins
            .iter()
            .map(|begins| {
                let ours = Plan { begins: Duration::from_millis(*begins), busy, ..bbr() };
                let report = run(&path, &[ours, Plan::tcp()], secs(60), 0);
                let rates = [0, 1].map(|flow: usize| report.flows[flow].goodput(10, 60));
                rates[0] / (rates[0] + rates[1])
            })
            .collect();
        let share = shares.iter().sum::<f64>() / shares.len() as f64;
        println!(
            "{rate} Mbit/s, {rtt} ms, {begins:?} ms after the TCP, busy {busy:?}: bbr has {share:.2} of {shares:.2?}"
        );
        assert!((0.35..=0.65).contains(&share), "{rate} Mbit/s, {rtt} ms: {share:.2}");
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes long; cargo test --release --test sim runs it")]
fn four_bbr_share_evenly() {
    for rtt in [20, 40, 100] {
        for queue in [0.5, 1.0, 4.0] {
            let report = run(&path(rtt, queue), &[bbr(); 4], secs(60), 0);
            let (fairness, wait) = (report.fairness(20, 60), report.wait_ms(0.5, 20, 60));
            println!("{rtt} ms, queue {queue} BDP: Jain {fairness:.3}, median wait {wait} ms");
            assert!(fairness >= 0.95, "{fairness:.3} at {rtt} ms, {queue} BDP");
        }
    }
}

#[test]
fn bbr_alone_fills_no_deep_queue() {
    for (rate, rtt) in [(10, 40), (100, 40), (100, 100), (1000, 20)] {
        let path = Path::clean(rate * MBIT, rtt, 4.0);
        let report = run(&path, &[bbr()], secs(15), 1);
        let waits = [0.5, 0.99].map(|share| report.wait_ms(share, 3, 15));
        let (steady, phases) = (percent(&report, &path, 3, 15), report.flows[0].phases.len());
        println!("{rate} Mbit/s, {rtt} ms: {steady:.1} %, wait {waits:?} ms, {phases} phases");
        assert!(steady > 95.0 && waits[0] < rtt as f64 / 8.0 && waits[1] < rtt as f64, "{steady:.1} %, {waits:?}");
        let has_probed_rtt = report.flows[0].phases.iter().any(|(_, phase)| *phase == "ProbeRTT");
        assert!(!has_probed_rtt, "the queue ran dry by itself");
    }
}

/// RFC 9438 section 5.1 for losses at even distances, and for its Reno-friendly region the square root law, which CUBIC's
/// growth and cut are made to keep.
#[test]
#[cfg_attr(debug_assertions, ignore = "takes long; cargo test --release --test sim runs it")]
fn the_window_of_cubic_is_that_of_its_formula() {
    for (rtt_ms, loss, is_reno) in [(100, 1e-4, false), (100, 3e-4, false), (10, 1e-3, true), (10, 3e-3, true)] {
        let path = Path { loss, ..Path::clean(1000 * MBIT, rtt_ms, 1.0) };
        let report = run(&path, &[Plan { acked_together: 2, ..Plan::ours(Choice::Cubic) }], secs(120), 3);
        let packets = report.flows[0].goodput(20, 120) * path.rtt.as_secs_f64() / PACKET as f64;
        let rtt = path.rtt.as_secs_f64();
        let formula = if is_reno { (1.5 / loss).sqrt() } else { 1.054 * rtt.powf(0.75) / loss.powf(0.75) };
        println!("{rtt_ms} ms, loss {loss}: {packets:.1} packets in flight, by the formula {formula:.1}");
        assert!((0.75..1.35).contains(&(packets / formula)), "{packets:.1} and not {formula:.1}");
    }
}

#[test]
fn a_background_flow_yields_to_a_tcp_and_takes_what_is_left() {
    let background = Plan::ours(Choice::Background);
    for (rtt, queue) in [(20, 1.0), (40, 1.0), (40, 4.0), (100, 1.0)] {
        let path = path(rtt, queue);
        let alone = run(&path, &[background], secs(30), 1);
        let (share, wait) = (percent(&alone, &path, 10, 30), alone.wait_ms(0.95, 10, 30));
        let beside = run(&path, &[background, Plan { begins: secs(10), ..Plan::tcp() }], secs(60), 1);
        let left = beside.flows[0].goodput(30, 60) * 800.0 / path.rate as f64;
        println!("{rtt} ms, queue {queue} BDP: alone {share:.1} %, wait {wait} ms; beside a TCP {left:.1} %");
        assert!(share > 85.0 && wait < rtt as f64 / 2.0 && left < 10.0, "{share:.1} %, {wait} ms, {left:.1} %");
    }
}

#[test]
fn a_fixed_rate_is_kept_whatever_is_lost() {
    let path = Path { loss: 0.1, ..path(100, 1.0) };
    let report = run(&path, &[Plan::ours(Choice::Fixed(2_500_000))], secs(10), 1);
    let rate = report.flows[0].goodput(1, 10) / 0.9;
    assert!((rate / 2_500_000.0 - 1.0).abs() < 0.01, "{rate}");
}

/// Careful resume: half of what the path bore goes out at once, and the next round trips do the rest.
#[test]
fn a_path_that_is_remembered_is_filled_within_four_round_trips() {
    for (loss, queue) in [(0.0, 1.0), (0.0, 0.25), (0.01, 1.0), (0.1, 1.0)] {
        let path = Path { loss, ..path(100, queue) };
        let round_trips = |remembered| {
            let report = run(&path, &[Plan { remembered, ..bbr() }], secs(8), 1);
            let full = path.rate as f64 / 80.0 * (1.0 - loss) * 0.9;
            let bins = &report.flows[0].delivered;
            // Bins of a tenth of a second are round trips.
            let first = bins.iter().position(|bytes| *bytes as f64 >= full).expect("it fills the path");
            (
                first,
                percent(&report, &path, 2, 8) / (1.0 - loss),
                report.flows[0].sent_again(0, 8) * 100.0 - loss * 100.0,
            )
        };
        let remembered = Remembered { rate: path.rate / 8, rtt: path.rtt, loss };
        let (with, without) = (round_trips(Some(remembered)), round_trips(None));
        println!(
            "loss {loss}, queue {queue} BDP: (round trips, steady %, sent again %) {with:.1?}, without memory {without:.1?}"
        );
        assert!(with.0 <= 4 && with.0 < without.0 && with.1 > 95.0, "{with:?} {without:?}");
    }
}

/// The memory may be of better times: then what was too much is lost for two round trips, and the path is measured anew.
#[test]
fn a_path_that_has_become_slower_is_found_out_at_once() {
    for (times, loss) in [(2, 0.0), (10, 0.0), (10, 0.01)] {
        let path = Path { loss, ..path(100, 1.0) };
        let remembered = Some(Remembered { rate: path.rate / 8 * times, rtt: path.rtt, loss: 0.0 });
        let report = run(&path, &[Plan { remembered, ..bbr() }], secs(10), 1);
        let (steady, lost) =
            (percent(&report, &path, 3, 10) / (1.0 - loss), report.flows[0].lost.iter().sum::<u64>() as f64);
        let jump = path.rate as f64 / 16.0 * times as f64 * path.rtt.as_secs_f64();
        println!("{times} times slower, loss {loss}: {steady:.1} % from 3 s on, {:.2} jumps lost", lost / jump);
        assert!(steady > 95.0 && lost < 2.0 * jump, "{steady:.1} %, {lost} of {jump}");
    }
}

fn table() -> String {
    let clean = path(100, 1.0);
    let mut text = String::from(
        "Congestion controls at 100 Mbit/s: percent of what the path lets through, bytes sent again, median wait, simulated.\n\
         Seconds 3 to 15 of one flow. Written by `UPDATE_GOLDEN=1 cargo test --test sim congestion`.\n\n",
    );
    write!(text, "{:<34}", "").expect("memory");
    let choices = [Choice::Bbr, Choice::Cubic, Choice::Background];
    for choice in choices {
        write!(text, " {:>24}", choice.to_string()).expect("memory");
    }
    text.push('\n');
    for (name, path) in [
        ("100 ms, queue 1 BDP", clean),
        ("the same, loss 0.1 %", Path { loss: 0.001, ..clean }),
        ("the same, loss 1 %", Path { loss: 0.01, ..clean }),
        ("the same, loss 10 %", Path { loss: 0.1, ..clean }),
        ("the same, 50 ms of jitter", Path { jitter: Duration::from_millis(50), ..clean }),
        ("the same, bursts of 5 losses", Path { burst: BURSTS, ..clean }),
        ("100 ms, queue 4 BDP", path(100, 4.0)),
        ("40 ms, queue 64 kB", Path { queue: 64_000, ..path(40, 1.0) }),
        ("10 ms, queue 1 BDP", path(10, 1.0)),
    ] {
        write!(text, "{name:<34}").expect("memory");
        for choice in choices {
            let report = run(&path, &[Plan::ours(choice)], secs(15), 7);
            let (steady, again) = (percent(&report, &path, 3, 15), report.flows[0].sent_again(3, 15) * 100.0);
            let cell = format!("{steady:.0} %, {again:.1} %, {:.0} ms", report.wait_ms(0.5, 3, 15));
            write!(text, " {cell:>24}").expect("memory");
        }
        text.push('\n');
    }
    text
}

#[test]
fn the_table_of_congestion_controls_is_as_committed() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/congestion.txt");
    let now = table();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &now).expect("the tree is writable");
    }
    let committed = std::fs::read_to_string(path).expect("the golden table");
    assert!(now == committed, "a congestion control changed; look at it, and commit it with the reason:\n{now}");
}
