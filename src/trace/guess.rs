//! What one end cannot see: when its messages came at the other end, and when the other's left it.

use super::crossing::{Arrival, Crossing, Fate, Moment};
use super::step::Side;
use std::collections::VecDeque;
use std::time::Duration;

/// Seen from the client. An answer shows that its message came; when, is taken to be half-way between.
pub fn at_server(crossings: &mut [Crossing]) {
    let quickest = quickest(crossings);
    let mut open = VecDeque::new();
    // What came since the last message and answers nothing.
    let mut strays: Vec<usize> = Vec::new();
    for index in 0..crossings.len() {
        if crossings[index].by == Side::Client {
            if crossings[index].fate == Fate::Unknown {
                open.push_back(index);
            }
            if open.len() > OPEN_MAX {
                open.pop_front();
            }
            strays.clear();
            continue;
        }
        let Some(came) = crossings[index].arrived() else { continue };
        let asked = answered(crossings, &open, index, quickest).and_then(|position| open.remove(position));
        let Some(asked) = asked else {
            crossings[index].sent = Moment { at: came.at.saturating_sub(quickest / 2), order: came.order };
            strays.push(index);
            continue;
        };
        let left = crossings[asked].sent.at;
        let there = left + came.at.saturating_sub(left) / 2;
        let at = Moment { at: there, order: crossings[asked].sent.order };
        crossings[asked].arrivals.push(Arrival { at, damaged: false, late: false });
        crossings[asked].fate = Fate::Arrived;
        crossings[index].sent = Moment { at: there, order: came.order };
        for stray in strays.drain(..) {
            let came = crossings[stray].arrived().unwrap_or_default().at;
            if came >= there && came.saturating_sub(left) >= quickest - quickest / 4 {
                // What can be a consequence of the message did not leave before it came.
                crossings[stray].sent.at = crossings[stray].sent.at.max(there);
            }
        }
    }
    for crossing in crossings {
        // An error is never answered.
        if crossing.by == Side::Client && crossing.fate == Fate::Unknown && crossing.kind() != b'e' {
            crossing.fate = Fate::Unanswered;
        }
    }
}

/// The quickest round trip of a message that was sent once (Karn's rule), or zero.
fn quickest(crossings: &[Crossing]) -> Duration {
    let mut asked: Option<&Crossing> = None;
    let mut quickest: Option<Duration> = None;
    for crossing in crossings {
        match (crossing.by, asked, crossing.arrived()) {
            (Side::Client, ..) => asked = Some(crossing).filter(|crossing| crossing.nth == 1),
            (Side::Server, Some(open), Some(came)) if answers(open, crossing) => {
                let trip = came.at.saturating_sub(open.sent.at);
                quickest = Some(quickest.map_or(trip, |quickest| quickest.min(trip)));
                asked = None;
            }
            (Side::Server, ..) => {}
        }
    }
    quickest.unwrap_or_default()
}

/// Which of the open messages the answer is to. Of several copies it is the last one that it can be: nothing is answered much
/// quicker than the quickest.
fn answered(crossings: &[Crossing], open: &VecDeque<usize>, answer: usize, quickest: Duration) -> Option<usize> {
    let came = crossings[answer].arrived()?.at;
    let fits =
        |position: &usize| open.get(*position).is_some_and(|asked| answers(&crossings[*asked], &crossings[answer]));
    let in_time = |position: &usize| {
        let left = open.get(*position).map(|asked| crossings[*asked].sent.at);
        left.is_some_and(|left| came.saturating_sub(left) >= quickest - quickest / 4)
    };
    let last = (0..open.len()).rev().filter(fits).find(in_time);
    last.or_else(|| (0..open.len()).find(fits))
}

/// Whether `answer` is what a server says to `asked`.
fn answers(asked: &Crossing, answer: &Crossing) -> bool {
    if (asked.by, answer.by) != (Side::Client, Side::Server) {
        return false;
    }
    let (Some(number), Some(answered)) = (asked.number(), answer.number()) else { return false };
    let next = number.wrapping_add(1);
    match answer.kind() {
        // One known server answers every start with 0; compact peers may count modulo 2.
        b'a' | b'n' => {
            answered == next || (asked.kind() == b's' && answered == 0) || (asked.is_compact() && answered == next % 2)
        }
        b'e' => answered == number,
        _ => false,
    }
}

/// Seen from the server. The way is taken to last as long as it usually does, or half of the time in which an answer brought a
/// new message, if that is less. An answer may be lost if the next message that can know of it is the same one again.
pub fn at_client(crossings: &mut Vec<Crossing>) {
    gather_copies(crossings);
    let ways = ways(crossings);
    for (crossing, way) in crossings.iter_mut().zip(&ways) {
        if crossing.by == Side::Client {
            crossing.sent.at = crossing.sent.at.saturating_sub(*way);
        }
    }
    let mut asked: Vec<Crossing> = crossings.iter().filter(|crossing| crossing.by == Side::Client).cloned().collect();
    asked.sort_by_key(|asked| asked.sent);
    for (answer, way) in crossings.iter_mut().zip(&ways) {
        if answer.by == Side::Client || answer.fate != Fate::Unknown {
            continue;
        }
        let next = asked.partition_point(|asked| asked.sent.at < answer.sent.at.saturating_add(*way - *way / 10));
        if asked.get(next).is_some_and(|next| next.nth > 1 && answers(next, answer)) {
            answer.fate = Fate::Unanswered;
        } else {
            let at = Moment { at: answer.sent.at.saturating_add(*way), ..answer.sent };
            answer.arrivals.push(Arrival { at, damaged: false, late: false });
            answer.fate = Fate::Arrived;
        }
    }
}

/// Nobody repeats a message within a few milliseconds: that is a copy which the network made.
fn gather_copies(crossings: &mut Vec<Crossing>) {
    let mut last: Option<Crossing> = None;
    let mut copies: Vec<(Moment, Arrival)> = Vec::new();
    crossings.retain(|crossing| {
        if crossing.by == Side::Server {
            return true;
        }
        let original = last.as_ref().filter(|last| {
            crossing.nth > 1
                && crossing.text == last.text
                && crossing.sent.at.saturating_sub(last.sent.at) <= COPY_WITHIN
        });
        if let (Some(original), Some(copy)) = (original, crossing.arrivals.first()) {
            copies.push((original.sent, *copy));
            return false;
        }
        last = Some(crossing.clone());
        true
    });
    for (original, copy) in copies {
        // `sent` grows, and no two steps have the same order.
        if let Ok(index) = crossings.binary_search_by_key(&original, |crossing| crossing.sent) {
            crossings[index].arrivals.push(copy);
        }
    }
}

/// How long each message's way takes: the median, for not every new message follows from the answer before it.
fn ways(crossings: &[Crossing]) -> Vec<Duration> {
    let half = |pair: &[Crossing]| match pair {
        [answer, next] if answer.by == Side::Server && next.by == Side::Client && next.nth == 1 => {
            Some(next.sent.at.saturating_sub(answer.sent.at) / 2)
        }
        _ => None,
    };
    let mut halves: Vec<Duration> = crossings.windows(2).filter_map(half).collect();
    halves.sort();
    let usual = halves.get(halves.len() / 2).copied().unwrap_or_default();
    let mut ways = vec![usual; crossings.len()];
    for (index, pair) in crossings.windows(2).enumerate() {
        // Only the first answer brings the next message; after a later one it may have been under way already.
        if let Some(half) = half(pair).filter(|half| *half < usual && pair[0].nth == 1) {
            ways[index] = half;
            ways[index + 1] = half;
        }
    }
    ways
}

/// More copies of one message than this are never waiting for an answer.
const OPEN_MAX: usize = 16;

/// Half of the shortest time-out there is.
const COPY_WITHIN: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use crate::trace::{Fate, Recorder, Side, Story, Vantage};
    use std::time::{Duration, Instant};

    /// What passes at one end: when, whose, and what.
    fn seen_by(vantage: Vantage, passes: &[(u64, Side, &str)]) -> Story {
        #[expect(clippy::disallowed_methods, reason = "a beginning for the test's own clock")]
        let now = Instant::now();
        let mut recorder = Recorder::new("a".into(), "b".into(), vantage, 1000, now);
        for (at, by, text) in passes {
            let at = now + Duration::from_millis(*at);
            match (vantage, by) {
                (Vantage::Client, Side::Client) | (Vantage::Server, Side::Server) => {
                    recorder.sent(*by, text.as_bytes(), at);
                }
                _ => {
                    recorder.arrived(*by, text.as_bytes(), at);
                }
            }
        }
        Story::of(&recorder.exchange())
    }

    /// Text, departure and arrivals in milliseconds, and fate.
    fn told(story: &Story) -> Vec<(&str, u128, Vec<u128>, Fate)> {
        let crossings = story.crossings.iter();
        let tell = crossings.map(|crossing| {
            let arrivals = crossing.arrivals.iter().map(|arrival| arrival.at.at.as_millis()).collect();
            (crossing.text.as_str(), crossing.sent.at.as_millis(), arrivals, crossing.fate)
        });
        tell.collect()
    }

    #[test]
    fn from_the_client_answers_left_half_way() {
        let story = seen_by(
            Vantage::Client,
            &[
                (0, Side::Client, "s | 0 | f | 9"),
                (20, Side::Server, "a | 1 | 1400"),
                (20, Side::Client, "d | 1 | x"),
                (520, Side::Client, "d | 1 | x"),
                (540, Side::Server, "a | 2"),
                (545, Side::Server, "what?"),
            ],
        );
        let expected = [
            ("s | 0 | f | 9", 0, vec![10], Fate::Arrived),
            ("a | 1 | 1400", 10, vec![20], Fate::Arrived),
            ("d | 1 | <1 byte>", 20, vec![], Fate::Unanswered),
            ("d | 1 | <1 byte>", 520, vec![530], Fate::Arrived),
            ("a | 2", 530, vec![540], Fate::Arrived),
            ("what?", 535, vec![545], Fate::Arrived),
        ];
        assert_eq!(told(&story), expected);
        assert_eq!(story.waits.len(), 1);
    }

    #[test]
    fn an_answer_that_is_too_quick_for_the_last_copy_is_to_an_earlier_one() {
        let story = seen_by(
            Vantage::Client,
            &[
                (0, Side::Client, "s | 0 | f | 9"),
                (1000, Side::Server, "a | 0"),
                (1000, Side::Client, "d | 1 | x"),
                (1900, Side::Client, "d | 1 | x"),
                (2000, Side::Server, "a | 2"),
                (2900, Side::Server, "a | 2"),
            ],
        );
        let arrivals: Vec<u128> = told(&story).into_iter().flat_map(|(_, _, arrivals, _)| arrivals).collect();
        assert_eq!(arrivals, [500, 1000, 1500, 2000, 2400, 2900]);
        assert!(story.crossings.iter().all(|crossing| crossing.fate == Fate::Arrived));
    }

    #[test]
    fn from_the_server_the_way_is_half_of_what_an_answer_brings() {
        let story = seen_by(
            Vantage::Server,
            &[
                (10, Side::Client, "s | 0 | f | 9"),
                (10, Side::Server, "a | 1 | 1400"),
                (30, Side::Client, "d | 1 | x"),
                (30, Side::Server, "a | 2"),
                (530, Side::Client, "d | 1 | x"),
                (530, Side::Server, "a | 2"),
                (550, Side::Client, "d | 2 | x"),
                (552, Side::Client, "d | 2 | x"),
                (552, Side::Server, "a | 3"),
            ],
        );
        let expected = [
            ("s | 0 | f | 9", 0, vec![10], Fate::Arrived),
            ("a | 1 | 1400", 10, vec![20], Fate::Arrived),
            ("d | 1 | <1 byte>", 20, vec![30], Fate::Arrived),
            ("a | 2", 30, vec![], Fate::Unanswered),
            ("d | 1 | <1 byte>", 520, vec![530], Fate::Arrived),
            ("a | 2", 530, vec![540], Fate::Arrived),
            ("d | 2 | <1 byte>", 540, vec![550, 552], Fate::Arrived),
            ("a | 3", 552, vec![562], Fate::Arrived),
        ];
        assert_eq!(told(&story), expected);
    }
}
