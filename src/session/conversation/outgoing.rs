//! What is said: one message in the air, the next one only when it was answered or given up.

use crate::packet::message::{Answer, Style, Unsayable};
use crate::rtt::{Limits, Rtt};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How messages are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sending {
    /// How they are written and answered.
    pub style: Style,
    /// The first message's number.
    pub first: u64,
    /// How often each is sent, at most.
    pub attempts: u32,
    /// How long to wait before a repeat as long as no round trip is known, and always before giving up.
    pub timeout: Duration,
    /// Give up this long after the first copy, however few the attempts were.
    pub patience: Option<Duration>,
}

impl Default for Sending {
    /// As the exercise has it: from 1, two attempts, two seconds.
    fn default() -> Self {
        Self { style: Style::Sequenced, first: 1, attempts: 2, timeout: Duration::from_secs(2), patience: None }
    }
}

impl Sending {
    /// As long as `patience` lasts, with at most `timeout` between two copies.
    pub fn patient(first: u64, timeout: Duration, patience: Duration) -> Self {
        Self { first, attempts: u32::MAX, timeout, patience: Some(patience), ..Self::default() }
    }

    /// When a message that was first sent then, and for the `attempt`th time `now`, is due again.
    fn due(&self, rtt: &Rtt, attempt: u32, first_sent: Instant, now: Instant) -> Instant {
        let timeout = rtt.timeout(attempt.saturating_sub(1));
        // A repeat is cheap and follows the path's own pace; giving up is not, so the last attempt waits at least the whole
        // time-out.
        let wait = if attempt < self.attempts { timeout } else { timeout.max(self.timeout) };
        self.patience.map_or(now + wait, |patience| (now + wait).min(first_sent + patience))
    }

    /// Whether a message that was sent `attempts` times has had its chance.
    fn is_over(&self, attempts: u32, first_sent: Instant, now: Instant) -> bool {
        let impatient = |patience| now.saturating_duration_since(first_sent) >= patience;
        attempts >= self.attempts || self.patience.is_some_and(impatient)
    }
}

/// What became of a message. Its number is used up in either case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It was answered.
    Answered {
        /// Its number.
        seq: u64,
        /// What it said.
        text: Vec<u8>,
        /// The answer, the whole datagram, as it came.
        answer: Vec<u8>,
        /// How often it was sent.
        attempts: u32,
        /// From the first copy to the answer: a round trip, if it was sent once.
        took: Duration,
    },
    /// It was given up. It may have arrived all the same.
    GivenUp {
        /// Its number.
        seq: u64,
        /// What it said.
        text: Vec<u8>,
        /// What came instead of its answer.
        instead: Instead,
        /// How often it was sent.
        attempts: u32,
        /// From the first copy to giving up.
        took: Duration,
    },
}

/// What came instead of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instead {
    /// Nothing.
    Nothing,
    /// The kernel's report that nobody listens there.
    Unreachable,
    /// Something that is not the answer, as another text or another style; the whole datagram, not yet safe to print.
    OtherText(Vec<u8>),
}

/// What sending has cost so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Datagrams sent, repeats included.
    pub sent: u64,
    /// Datagrams sent again.
    pub retransmissions: u64,
    /// Messages answered.
    pub answered: u64,
    /// Messages given up.
    pub given_up: u64,
    /// Answers that came and were not waited for any more: late ones and copies.
    pub ignored: u64,
}

/// The sending half of a conversation.
#[derive(Debug)]
pub struct Outgoing {
    sending: Sending,
    /// `None` once the last number was used.
    next_seq: Option<u64>,
    waiting: VecDeque<Message>,
    in_flight: Option<InFlight>,
    rtt: Rtt,
    stats: Stats,
    transmit: Option<Vec<u8>>,
    settled: VecDeque<Settled>,
}

#[derive(Debug)]
struct Message {
    seq: u64,
    text: Vec<u8>,
    datagram: Vec<u8>,
}

#[derive(Debug)]
struct InFlight {
    message: Message,
    attempts: u32,
    first_sent: Instant,
    last_sent: Instant,
    due: Instant,
    instead: Instead,
}

impl Outgoing {
    /// Nothing to say yet.
    pub fn new(sending: Sending) -> Self {
        let limits = Limits {
            initial: sending.timeout,
            min: RTO_MIN.min(sending.timeout),
            backoff_max: sending.timeout,
            kept_max: sending.timeout * 2,
        };
        Self {
            sending,
            next_seq: Some(sending.first),
            waiting: VecDeque::new(),
            in_flight: None,
            rtt: Rtt::new(limits),
            stats: Stats::default(),
            transmit: None,
            settled: VecDeque::new(),
        }
    }

    /// Says something as soon as everything before it is settled. Gives the message's number.
    ///
    /// # Errors
    /// [`Unsayable`] when it cannot be said at all, or too much waits already; no number is used then.
    pub fn say(&mut self, text: &[u8], now: Instant) -> Result<u64, Unsayable> {
        let seq = self.next_seq.ok_or(Unsayable::NoNumberLeft)?;
        let datagram = self.sending.style.question(seq, text)?;
        if self.waiting.len() >= WAITING_MAX {
            return Err(Unsayable::TooManyWaiting(WAITING_MAX));
        }
        self.next_seq = seq.checked_add(1);
        self.waiting.push_back(Message { seq, text: text.to_vec(), datagram });
        self.send_next(now);
        Ok(seq)
    }

    /// A datagram came from the peer; says whether it was waited for. Nothing but a time-out repeats a message: a sender that
    /// answers copies with copies doubles its traffic for ever (RFC 1123, 4.2.3.1).
    pub fn handle_answer(&mut self, datagram: &[u8], now: Instant) -> bool {
        let style = self.sending.style;
        let judge = |message: &Message| style.judge(message.seq, &message.text, datagram);
        match self.in_flight.as_ref().map_or(Answer::Foreign, |sent| judge(&sent.message)) {
            Answer::Right => self.on_answered(datagram, now),
            Answer::Other => {
                if let Some(sent) = self.in_flight.as_mut() {
                    sent.instead = Instead::OtherText(datagram.to_vec());
                }
                return false;
            }
            Answer::Foreign => {
                self.stats.ignored += 1;
                return false;
            }
        }
        true
    }

    /// The kernel says that nobody listens there. Servers come back, and anybody can forge such a report: it only explains.
    pub fn handle_unreachable(&mut self) {
        if let Some(sent) = self.in_flight.as_mut().filter(|sent| sent.instead == Instead::Nothing) {
            sent.instead = Instead::Unreachable;
        }
    }

    /// Repeats or gives up what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let Some(sent) = self.in_flight.as_mut().filter(|sent| now >= sent.due) else { return };
        if self.sending.is_over(sent.attempts, sent.first_sent, now) {
            return self.give_up(now);
        }
        sent.attempts += 1;
        sent.last_sent = now;
        if sent.instead == Instead::Unreachable {
            sent.instead = Instead::Nothing;
        }
        sent.due = self.sending.due(&self.rtt, sent.attempts, sent.first_sent, now);
        self.transmit = Some(sent.message.datagram.clone());
        self.stats.retransmissions += 1;
    }

    /// Says nothing more of what was to be said, and does not wait for the answer to what was. Nothing of it is settled.
    pub fn abandon(&mut self) {
        self.waiting.clear();
        self.in_flight = None;
        self.transmit = None;
    }

    /// The next message that was answered or given up.
    pub fn poll_settled(&mut self) -> Option<Settled> {
        self.settled.pop_front()
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        let datagram = self.transmit.take()?;
        self.stats.sent += 1;
        Some(datagram)
    }

    /// When [`Outgoing::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.in_flight.as_ref().map(|sent| sent.due)
    }

    /// Whether everything that was said is settled.
    pub fn is_idle(&self) -> bool {
        self.in_flight.is_none()
    }

    /// What it has cost so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// The smoothed round trip; `None` before the first one.
    pub fn smoothed_rtt(&self) -> Option<Duration> {
        self.rtt.smoothed()
    }

    fn send_next(&mut self, now: Instant) {
        if self.in_flight.is_some() {
            return;
        }
        let Some(message) = self.waiting.pop_front() else { return };
        self.transmit = Some(message.datagram.clone());
        let due = self.sending.due(&self.rtt, 1, now, now);
        let instead = Instead::Nothing;
        self.in_flight = Some(InFlight { message, attempts: 1, first_sent: now, last_sent: now, due, instead });
    }

    fn on_answered(&mut self, datagram: &[u8], now: Instant) {
        let Some(InFlight { message, attempts, first_sent, last_sent, .. }) = self.in_flight.take() else { return };
        let took = now.saturating_duration_since(first_sent);
        match attempts {
            // Karn's rule: nobody knows which copy was answered.
            2.. => self.rtt.on_ambiguous(took, now.saturating_duration_since(last_sent), attempts - 1),
            _ => self.rtt.sample(took),
        }
        self.stats.answered += 1;
        // A repeat that was due at the same moment has become needless.
        self.transmit = None;
        let Message { seq, text, .. } = message;
        self.settled.push_back(Settled::Answered { seq, text, answer: datagram.to_vec(), attempts, took });
        self.send_next(now);
    }

    fn give_up(&mut self, now: Instant) {
        let Some(InFlight { message, attempts, first_sent, instead, .. }) = self.in_flight.take() else { return };
        self.stats.given_up += 1;
        let took = now.saturating_duration_since(first_sent);
        let Message { seq, text, .. } = message;
        self.settled.push_back(Settled::GivenUp { seq, text, instead, attempts, took });
        self.send_next(now);
    }
}

/// The smallest time-out, as for all course programs: they pause to print.
const RTO_MIN: Duration = Duration::from_millis(200);

/// What may wait for the message before it: more than anybody types while one round trip lasts.
pub const WAITING_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
    fn begun(sending: Sending) -> (Outgoing, Instant) {
        (Outgoing::new(sending), Instant::now())
    }

    fn secs(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    /// Until something is settled: when datagrams left, and what was settled.
    fn run(outgoing: &mut Outgoing, began: Instant) -> (Vec<f64>, Settled) {
        let (mut now, mut sent) = (began, Vec::new());
        loop {
            if let Some(settled) = outgoing.poll_settled() {
                return (sent, settled);
            }
            while outgoing.poll_transmit().is_some() {
                sent.push((now - began).as_secs_f64());
            }
            now = outgoing.poll_timeout().expect("something to wait for");
            outgoing.handle_timeout(now);
        }
    }

    #[test]
    fn an_unanswered_message_is_sent_twice_two_seconds_apart_and_the_next_one_has_the_next_number() {
        let (mut outgoing, now) = begun(Sending::default());
        assert_eq!([outgoing.say(b"a", now), outgoing.say(b"b", now)], [Ok(1), Ok(2)]);
        let (sent, settled) = run(&mut outgoing, now);
        assert_eq!(sent, [0.0, 2.0]);
        let (text, instead) = (b"a".to_vec(), Instead::Nothing);
        assert_eq!(settled, Settled::GivenUp { seq: 1, text, instead, attempts: 2, took: secs(4.0) });
        assert_eq!(outgoing.poll_transmit().as_deref(), Some(&b"2:b"[..]));
    }

    #[test]
    fn a_measured_path_is_repeated_on_sooner_but_not_given_up_sooner() {
        let (mut outgoing, began) = begun(Sending { attempts: 3, ..Sending::default() });
        outgoing.say(b"a", began).expect("a text");
        let now = began + secs(0.001);
        assert!(outgoing.handle_answer(b"1:ACK:a", now));
        outgoing.poll_settled().expect("an answer");
        outgoing.say(b"b", now).expect("a text");
        let (sent, settled) = run(&mut outgoing, now);
        assert_eq!(sent, [0.0, 0.2, 0.6]);
        assert!(matches!(settled, Settled::GivenUp { took, .. } if took == secs(2.6)), "{settled:?}");
    }

    #[test]
    fn a_patient_sender_gives_up_when_its_patience_ends_and_not_before() {
        for (round_trip, copies) in [(None, 10), (Some(0.001), 12)] {
            let (mut outgoing, began) = begun(Sending::patient(1, secs(1.0), secs(10.0)));
            let mut now = began;
            if let Some(round_trip) = round_trip {
                outgoing.say(b"a", now).expect("a text");
                now += secs(round_trip);
                assert!(outgoing.handle_answer(b"1:ACK:a", now));
                outgoing.poll_settled().expect("an answer");
            }
            outgoing.say(b"b", now).expect("a text");
            let (sent, settled) = run(&mut outgoing, now);
            assert!(matches!(settled, Settled::GivenUp { took, .. } if took == secs(10.0)), "{settled:?}");
            assert_eq!(sent.len(), copies, "{sent:?}");
        }
    }

    #[test]
    fn a_duplicate_answer_sends_nothing_and_a_late_one_is_ignored() {
        let (mut outgoing, now) = begun(Sending::default());
        for text in ["a", "b", "c"] {
            outgoing.say(text.as_bytes(), now).expect("a text");
        }
        outgoing.poll_transmit().expect("the first");
        assert!(outgoing.handle_answer(b"1:ACK:a", now));
        outgoing.poll_transmit().expect("the second");
        assert!(!outgoing.handle_answer(b"1:ACK:a", now));
        assert!(!outgoing.handle_answer(b"3:ACK:c", now));
        assert_eq!(outgoing.poll_transmit(), None);
        assert_eq!(outgoing.stats().ignored, 2);
    }

    #[test]
    fn an_answer_with_another_text_does_not_count_and_is_named_in_the_end() {
        let (mut outgoing, now) = begun(Sending::default());
        outgoing.say(b"a", now).expect("a text");
        assert!(!outgoing.handle_answer(b"1:ACK:b", now));
        outgoing.handle_unreachable();
        let (_, settled) = run(&mut outgoing, now);
        let other = Instead::OtherText(b"1:ACK:b".to_vec());
        assert!(matches!(settled, Settled::GivenUp { instead, .. } if instead == other));
    }

    #[test]
    fn limits_hold() {
        let (mut outgoing, now) = begun(Sending { first: u64::MAX, ..Sending::default() });
        assert_eq!(outgoing.say(b"last", now), Ok(u64::MAX));
        assert_eq!(outgoing.say(b"more", now), Err(Unsayable::NoNumberLeft));
        let (mut outgoing, now) = begun(Sending::default());
        assert_eq!(outgoing.say(b"ACK:x", now), Err(Unsayable::LikeAnAnswer));
        for seq in 1..=WAITING_MAX as u64 + 1 {
            assert_eq!(outgoing.say(b"x", now), Ok(seq), "one is in the air");
        }
        assert_eq!(outgoing.say(b"x", now), Err(Unsayable::TooManyWaiting(WAITING_MAX)));
    }
}
