//! The echo programs: a server that tells what it hears, and a client that says line after line.

use super::exit;
use crate::echo::{EchoClient, EchoServer, Event, Reply};
use crate::io::driver::{self, Application};
use crate::io::events::messages::{MessageNote, Tally, milliseconds};
use crate::io::events::{Note, Report};
use crate::io::lines::{Line, LineSource};
use crate::io::signals::Interrupt;
use crate::io::udp::Wire;
use crate::name::Printable;
use crate::packet::message::Style;
use crate::session::conversation::{Instead, Settled, Verdict};
use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// How a server answers that was not told: the exercises' ports are the only sign by which plain texts can be told apart.
pub fn reply_at(port: u16) -> Reply {
    Reply::Told(if port == ACKNOWLEDGE_PORT { Style::Acknowledge } else { Style::Echo })
}

/// Answers on the wire's socket 0 until a signal, or the end of `interrupt`'s owner, ends it; gives the exit code.
///
/// # Errors
/// When the socket fails, or nobody reads the report any more.
pub fn serve(wire: &mut Wire, reply: Reply, report: &mut dyn Report, interrupt: Interrupt) -> io::Result<u8> {
    let address = wire.local_address(0)?;
    report.note(&Note::Listening { address, purpose: purpose(reply) })?;
    driver::run(wire, &mut EchoServer::new(reply), &mut Server { report, interrupt })
}

fn purpose(reply: Reply) -> String {
    let answer = |style| match style {
        Style::Sequenced => "acknowledged with its number (1:hello -> 1:ACK:hello)",
        Style::Echo => "sent back",
        Style::Acknowledge => "answered `Server acknowledges: ...`",
    };
    match reply {
        Reply::Always(Style::Sequenced) => {
            format!("a numbered message is {}; nothing else is answered", answer(Style::Sequenced))
        }
        Reply::Always(style) => format!("every message is {}", answer(style)),
        Reply::Told(style) => {
            format!("a numbered message is {}, any other is {}", answer(Style::Sequenced), answer(style))
        }
    }
}

struct Server<'a> {
    report: &'a mut dyn Report,
    interrupt: Interrupt,
}

impl Application<EchoServer> for Server<'_> {
    type Outcome = u8;

    fn turn(&mut self, server: &mut EchoServer, _wire: &mut Wire, _now: Instant) -> io::Result<ControlFlow<u8, bool>> {
        while let Some(event) = server.poll_event() {
            self.report.note(&Note::Messaging(Box::new(match event {
                Event::Message { peer, style, seq, text, verdict } => MessageNote::Message {
                    peer,
                    reply: style.word(),
                    number: seq,
                    text: lossy(&text),
                    mark: match verdict {
                        Verdict::New => "new",
                        Verdict::Late => "late",
                        Verdict::Restarted => "restarted",
                        Verdict::Duplicate | Verdict::Stale => "duplicate",
                    },
                },
                Event::Ignored { peer, reason, untold } => {
                    MessageNote::Ignored { peer, reason: reason.to_string(), untold }
                }
            })))?;
        }
        let Some(code) = self.interrupt.exit_code() else { return Ok(ControlFlow::Continue(false)) };
        let counts = server.counts();
        let (messages, duplicates, ignored) = (counts.delivered, counts.duplicates, counts.ignored);
        self.report.note(&Note::Messaging(Box::new(MessageNote::Heard { messages, duplicates, ignored })))?;
        Ok(ControlFlow::Break(code))
    }
}

/// Says line after line to the server at the other end of the wire's socket 0, until they end; gives the exit code.
///
/// # Errors
/// When the socket fails, or nobody reads the report any more.
pub fn converse(
    wire: &mut Wire,
    client: &mut EchoClient,
    server: SocketAddr,
    lines: &mut dyn LineSource,
    report: &mut dyn Report,
    interrupt: Interrupt,
) -> io::Result<u8> {
    let mut speaker = Speaker {
        server,
        lines,
        report,
        interrupt,
        asked: false,
        next: None,
        ends: None,
        failure: None,
        tally: Tally::default(),
    };
    driver::run(wire, client, &mut speaker)
}

struct Speaker<'a> {
    server: SocketAddr,
    lines: &'a mut dyn LineSource,
    report: &'a mut dyn Report,
    interrupt: Interrupt,
    /// A line was asked for and has not come.
    asked: bool,
    /// The line that is said when the one before it is settled.
    next: Option<Vec<u8>>,
    /// No more lines come; with an exit code of its own, if it is not for a good reason.
    ends: Option<Option<u8>>,
    /// The exit code of what went wrong; see [`worst`].
    failure: Option<u8>,
    tally: Tally,
}

impl Application<EchoClient> for Speaker<'_> {
    type Outcome = u8;

    fn turn(&mut self, client: &mut EchoClient, _wire: &mut Wire, now: Instant) -> io::Result<ControlFlow<u8, bool>> {
        while let Some(settled) = client.poll_settled() {
            self.on_settled(settled)?;
        }
        if let Some(code) = self.interrupt.exit_code() {
            return self.end(client, Some(code)).map(ControlFlow::Break);
        }
        if self.asked
            && let Some(line) = self.lines.take()
        {
            self.asked = false;
            self.on_line(line)?;
            return Ok(ControlFlow::Continue(true));
        }
        if client.is_idle() {
            if let Some(text) = self.next.take() {
                self.say(client, &text, now)?;
                return Ok(ControlFlow::Continue(true));
            }
            if let Some(code) = self.ends {
                return self.end(client, code).map(ControlFlow::Break);
            }
        }
        let may_ask = client.is_idle() || !self.lines.is_interactive();
        if may_ask && !self.asked && self.next.is_none() && self.ends.is_none() {
            self.asked = true;
            self.lines.ask();
            return Ok(ControlFlow::Continue(true));
        }
        Ok(ControlFlow::Continue(false))
    }
}

impl Speaker<'_> {
    fn on_line(&mut self, line: Line) -> io::Result<()> {
        match line {
            Line::Text(text) if text == QUIT => self.ends = Some(None),
            // There is nothing to say.
            Line::Text(text) if text.is_empty() => {}
            Line::Text(text) => self.next = Some(text),
            Line::TooLong => self.refuse(b"a line", "it is longer than any datagram; nothing was sent")?,
            Line::Closed => self.ends = Some(None),
            Line::Interrupted => self.ends = Some(Some(exit::INTERRUPTED)),
            Line::Failed(error) => {
                let text = format!("standard input cannot be read any further: {error}");
                self.report.note(&Note::Remark { text })?;
                self.ends = Some(Some(exit::LOCAL_FILE));
            }
        }
        Ok(())
    }

    fn say(&mut self, client: &mut EchoClient, text: &[u8], now: Instant) -> io::Result<()> {
        match client.say(text, now) {
            Ok(_) => {
                self.tally.messages += 1;
                Ok(())
            }
            Err(error) => self.refuse(text, &format!("not sent: {error}")),
        }
    }

    /// A line that cannot be sent.
    fn refuse(&mut self, text: &[u8], reason: &str) -> io::Result<()> {
        self.tally.messages += 1;
        self.tally.unsent += 1;
        self.failure = worst(self.failure, exit::LOCAL_FILE);
        let (text, reason) = (lossy(text), reason.to_owned());
        self.tell(MessageNote::Unanswered { number: None, text, reason, attempts: 0 })
    }

    fn on_settled(&mut self, settled: Settled) -> io::Result<()> {
        match settled {
            Settled::Answered { seq, text, answer, attempts, took } => {
                let took_ms = milliseconds(took);
                self.tally.answered += 1;
                if attempts == 1 {
                    let (min, max) = (&mut self.tally.rtt_min_ms, &mut self.tally.rtt_max_ms);
                    *min = Some(min.map_or(took_ms, |min| min.min(took_ms)));
                    *max = Some(max.map_or(took_ms, |max| max.max(took_ms)));
                }
                let (text, answer) = (lossy(&text), lossy(&answer));
                self.tell(MessageNote::Answered { number: seq, text, answer, attempts, took_ms })
            }
            Settled::GivenUp { seq, text, instead, attempts, took } => {
                self.tally.unanswered += 1;
                let code = if matches!(instead, Instead::OtherText(_)) { exit::NOT_VERIFIED } else { exit::NO_ANSWER };
                self.failure = worst(self.failure, code);
                let reason = self.reason(&instead, attempts, took);
                self.tell(MessageNote::Unanswered { number: Some(seq), text: lossy(&text), reason, attempts })
            }
        }
    }

    fn reason(&self, instead: &Instead, attempts: u32, took: Duration) -> String {
        let seconds = took.as_secs_f64();
        let sent = if attempts == 1 { "sent once".to_owned() } else { format!("sent {attempts} times") };
        match instead {
            Instead::Nothing => format!("no answer in {seconds:.1} s, {sent}"),
            Instead::Unreachable => format!(
                "no answer in {seconds:.1} s, {sent}: nobody listens at {}; does the server run there?",
                self.server
            ),
            Instead::OtherText(datagram) => {
                let text = lossy(datagram);
                format!("not answered as expected, {sent}: {} came; --style tells what to expect", Printable(&text))
            }
        }
    }

    fn end(&mut self, client: &EchoClient, code: Option<u8>) -> io::Result<u8> {
        let stats = client.stats();
        self.tally.retransmissions = stats.retransmissions;
        self.tally.ignored = stats.ignored;
        self.tally.rtt_ms = client.smoothed_rtt().map(milliseconds);
        self.tell(MessageNote::Tally(self.tally))?;
        Ok(code.or(self.failure).unwrap_or(exit::DONE))
    }

    fn tell(&mut self, note: MessageNote) -> io::Result<()> {
        self.report.note(&Note::Messaging(Box::new(note)))
    }
}

/// Of several failures the one whose exit code says more: no answer, then another text, then a line that cannot be sent.
fn worst(before: Option<u8>, code: u8) -> Option<u8> {
    Some(before.map_or(code, |before| before.min(code)))
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The line that ends the client, as the exercises have it.
const QUIT: &[u8] = b"quit";

/// Where the exercise with `Server acknowledges: ` has its server.
const ACKNOWLEDGE_PORT: u16 = 12345;
