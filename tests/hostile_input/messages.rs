//! Damaged, forged and random datagrams for the echo programs' machines and for both sides of a conversation: nothing panics,
//! memory is bounded, an answer is as long as it may be and nothing else is ever sent.

use crate::bodies::echo::Room;
use crate::{bodies, damaged};
use homing::echo::{PEERS_MAX, Reply};
use homing::packet::message::{self, Message, Style};
use homing::session::conversation::{Conversation, Event, Outgoing, Policy, SEEN_MAX, Sending, Settled};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Messages and answers of every style.
const VALID: [&[u8]; 12] = [
    b"1:hello",
    b"2:hello",
    b"007:x",
    b"3:",
    b"3:ACK:hello",
    b"3:ACK:",
    b"4:a:b:ACK:c",
    "5:W\u{f6}rter \u{2603}".as_bytes(),
    b"18446744073709551615:last",
    b"hello",
    b"Server acknowledges: hello",
    b"99999999999999999999:more than 64 bits",
];

const STYLES: [Style; 3] = [Style::Sequenced, Style::Echo, Style::Acknowledge];

fn noise(rng: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = vec![0; rng.usize(0..100)];
    rng.fill(&mut bytes);
    bytes
}

#[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
fn beginning() -> Instant {
    Instant::now()
}

fn replies() -> impl Iterator<Item = Reply> {
    STYLES.map(Reply::Always).into_iter().chain(STYLES.map(Reply::Told))
}

#[test]
fn every_damaged_message_is_answered_as_its_own_bytes_say() {
    for reply in replies() {
        let mut room = Room::new(reply);
        for datagram in VALID.iter().flat_map(|valid| damaged(valid)) {
            // What must hold of an answer is asserted there.
            room.hear(bodies::CLIENTS[0], &datagram);
        }
    }
}

#[test]
fn a_hundred_thousand_random_datagrams_leave_bounded_memory() {
    let mut rng = fastrand::Rng::with_seed(1);
    for reply in replies() {
        let mut room = Room::new(reply);
        for _ in 0..100_000 / 6 {
            // Half of them nearly right, from many addresses and from few.
            let mut datagram = noise(&mut rng);
            if rng.bool() {
                datagram = [rng.u64(0..2000).to_string().as_bytes(), b":", &datagram].concat();
                datagram.iter_mut().for_each(|byte| *byte &= 0x7f);
            }
            let host = if rng.bool() { rng.u32(..) } else { rng.u32(0..4) };
            room.hear(SocketAddr::from((host.to_be_bytes(), 5000)), &datagram);
            room.pass(Duration::from_micros(rng.u64(0..2000)));
        }
        let (peers, messages) = room.remembered();
        assert!(peers <= PEERS_MAX && messages <= peers * (2 * SEEN_MAX + 1), "{peers} peers, {messages} messages");
        room.pass(Duration::from_secs(61));
        room.pass(Duration::from_secs(10));
        assert_eq!(room.remembered(), (0, 0));
    }
}

#[test]
fn random_scripts_of_datagrams_and_moments_break_no_promise() {
    let mut rng = fastrand::Rng::with_seed(3);
    for _ in 0..3000 {
        let mut script = vec![0; rng.usize(0..600)];
        rng.fill(&mut script);
        // Few numbers and few texts, so that they meet; the low bits choose the steps.
        let mask = *rng.choice(&[0xff, 0x3b, 0x1b, 0x8b]).expect("four");
        script.iter_mut().skip(1).for_each(|byte| *byte &= mask);
        bodies::messages(&script);
    }
}

#[test]
fn nothing_but_its_own_answer_settles_a_message() {
    for style in STYLES {
        let right: &[u8] = match style {
            Style::Sequenced => b"3:ACK:hello",
            Style::Echo => b"hello",
            Style::Acknowledge => b"Server acknowledges: hello",
        };
        let mut outgoing = Outgoing::new(Sending { style, first: 3, ..Sending::default() });
        let now = beginning();
        outgoing.say(b"hello", now).expect("a text");
        outgoing.poll_transmit().expect("the message");
        for datagram in VALID.iter().flat_map(|valid| damaged(valid)) {
            let reads_right = match style {
                Style::Sequenced => message::decode(&datagram) == Ok(Message::Ack { seq: 3, text: "hello" }),
                // A greeting may stand before the bytes, and anything behind them.
                Style::Echo => datagram.windows(5).any(|part| part == b"hello"),
                Style::Acknowledge => datagram == right,
            };
            if !reads_right {
                assert!(!outgoing.handle_answer(&datagram, now), "{style:?}: {}", datagram.escape_ascii());
                assert_eq!((outgoing.poll_transmit(), outgoing.poll_settled()), (None, None));
            }
        }
        assert!(outgoing.handle_answer(right, now));
        assert!(matches!(outgoing.poll_settled(), Some(Settled::Answered { seq: 3, attempts: 1, .. })));
    }
}

#[test]
fn a_conversation_stands_everything_and_answers_only_texts() {
    let mut rng = fastrand::Rng::with_seed(2);
    for policy in [Policy::AsTheyCome, Policy::InOrder] {
        let mut conversation = Conversation::new(Sending::default(), policy);
        let mut now = beginning();
        let noise: Vec<Vec<u8>> = std::iter::repeat_with(|| noise(&mut rng)).take(20_000).collect();
        for datagram in VALID.iter().flat_map(|valid| damaged(valid)).chain(noise) {
            now += Duration::from_millis(1);
            let _ = conversation.say("something", now);
            let asked = matches!(message::decode(&datagram), Ok(Message::Text { .. }));
            // What was due before.
            conversation.handle_timeout(now);
            while conversation.poll_transmit().is_some() {}
            conversation.handle_datagram(&datagram, now);
            let mut delivered = false;
            while let Some(event) = conversation.poll_event() {
                delivered |= matches!(event, Event::Delivered { .. });
            }
            assert!(asked || !delivered);
            let mut answers = 0;
            while let Some(sent) = conversation.poll_transmit() {
                answers += usize::from(message::is_answer(&sent));
                assert!(sent.len() <= datagram.len().max(32) + 4);
            }
            assert!(answers <= usize::from(asked), "{}", datagram.escape_ascii());
        }
    }
}
