//! A lab client that does on purpose what networks do by accident, and says what came back.

use super::finding::Fault;
use super::stage::Stage;
use crate::io::asker::Asker;
use crate::io::clock;
use crate::packet::lab::{self, COMPACT_BUFSIZE, Message, Spelling, data_header_length};
use crate::trace::{Recorder, Side, Vantage, words};
use std::net::SocketAddr;
use std::time::Duration;

/// One client's side of a case.
pub struct Talk<'a> {
    pub(super) stage: &'a Stage,
    asker: Asker,
    pub(super) spelling: Spelling,
    /// The number of the start.
    start: u64,
    /// The number before that of the first chunk: the start's, unless the server wants it otherwise.
    first: u64,
    /// What the start's acknowledgement announced, in bytes.
    pub(super) bufsize: usize,
    /// Whether it announced anything.
    pub(super) announced: bool,
    /// How many chunks there may be: the longest number must fit a datagram as well.
    pub(super) chunks_max: u64,
    recorder: Recorder,
    /// The last datagram, for asking again.
    last: Vec<u8>,
    /// How long an answer may take that must come, before the message is sent again.
    patience: Duration,
}

impl<'a> Talk<'a> {
    /// A client with a fresh port. In the spaced spelling it starts from `first`; the compact one always starts from 0.
    pub fn new(stage: &'a Stage, spelling: Spelling, first: u64, bufsize: usize) -> Result<Self, Fault> {
        Self::through(Asker::new(stage.server)?, stage, spelling, first, bufsize)
    }

    /// A client at this address of this machine.
    pub fn at(own: SocketAddr, stage: &'a Stage, spelling: Spelling, bufsize: usize) -> Result<Self, Fault> {
        Self::through(Asker::from(own, stage.server)?, stage, spelling, 0, bufsize)
    }

    fn through(asker: Asker, stage: &'a Stage, spelling: Spelling, first: u64, bufsize: usize) -> Result<Self, Fault> {
        let own = asker.local_address()?.to_string();
        let recorder = Recorder::new(own, stage.server.to_string(), Vantage::Client, STEPS_MAX, clock::now());
        let (first, bufsize) = match spelling {
            Spelling::Spaced => (first, bufsize),
            Spelling::Compact => (0, COMPACT_BUFSIZE),
        };
        let (last, patience, announced, chunks_max) = (Vec::new(), ANSWER_WITHIN, false, 9 - first % 10);
        let start = first;
        Ok(Self { stage, asker, spelling, start, first, bufsize, announced, chunks_max, recorder, last, patience })
    }

    /// Goes on with this number after the start, as most clients do, though it is not the one that should follow.
    pub fn follow(&mut self, next: u64) {
        self.first = next.wrapping_sub(1);
        self.chunks_max = 9;
    }

    /// Where this client is.
    pub fn address(&self) -> Result<SocketAddr, Fault> {
        Ok(self.asker.local_address()?)
    }

    /// The number of the n-th chunk, counted from 1.
    pub fn number(&self, chunk: usize) -> u64 {
        match self.spelling {
            Spelling::Spaced => self.first.wrapping_add(chunk as u64),
            Spelling::Compact => chunk as u64 % 2,
        }
    }

    /// The number that acknowledges the n-th chunk; 0 for the start.
    fn number_after(&self, chunk: usize) -> u64 {
        match self.spelling {
            Spelling::Spaced => self.first.wrapping_add(chunk as u64 + 1),
            Spelling::Compact => (chunk as u64 + 1) % 2,
        }
    }

    /// `a | 3`
    pub fn ack_words(&self, chunk: usize) -> String {
        format!("`a{}{}`", self.separator(), self.number_after(chunk))
    }

    /// `d | 2`
    pub fn data_words(&self, chunk: usize) -> String {
        match self.spelling {
            Spelling::Spaced => format!("`d | {}`", self.number(chunk)),
            // These numbers alone do not tell the chunks apart.
            Spelling::Compact => format!("chunk {chunk} (`d|{}`)", self.number(chunk)),
        }
    }

    fn separator(&self) -> &'static str {
        match self.spelling {
            Spelling::Spaced => " | ",
            Spelling::Compact => "|",
        }
    }

    /// How many bytes a chunk may have.
    pub fn chunk_max(&self) -> usize {
        match self.spelling {
            Spelling::Spaced => {
                let header = data_header_length(self.first.wrapping_add(self.chunks_max), self.spelling);
                self.bufsize.saturating_sub(header).max(1)
            }
            Spelling::Compact => COMPACT_CHUNK,
        }
    }

    /// A start.
    pub fn start_message(&self, name: &str, size: usize) -> Vec<u8> {
        let separator = self.separator();
        format!("s{separator}{}{separator}{name}{separator}{size}", self.start).into_bytes()
    }

    /// The n-th chunk.
    pub fn data_message(&self, chunk: usize, bytes: &[u8]) -> Vec<u8> {
        let separator = self.separator();
        [format!("d{separator}{}{separator}", self.number(chunk)).as_bytes(), bytes].concat()
    }

    /// Sends a datagram.
    pub fn send(&mut self, datagram: &[u8]) {
        self.recorder.sent(Side::Client, datagram, clock::now());
        self.asker.send(datagram);
        self.last = datagram.to_vec();
    }

    /// Sends the last datagram again: something on the way to the server, or the server itself, loses messages now and then.
    pub fn send_again(&mut self) {
        let last = std::mem::take(&mut self.last);
        self.send(&last);
    }

    /// Writes down that something was lost on purpose.
    pub fn remark(&mut self, text: &str) {
        self.recorder.note(Side::Client, text, clock::now());
    }

    /// The next datagram within `limit`; sooner `None` when the server is gone.
    pub fn reply(&mut self, limit: Duration) -> Result<Option<Vec<u8>>, Fault> {
        let until = clock::now() + limit;
        loop {
            let gone = self.stage.epitaph().is_some();
            let left = until.saturating_duration_since(clock::now());
            let slice = if gone { GONE } else { left.min(SLICE) };
            if let Some((from, bytes)) = self.asker.receive(slice)? {
                self.recorder.arrived(Side::Server, &bytes, clock::now());
                return match from.port() == self.stage.server.port() {
                    true => Ok(Some(bytes)),
                    false => {
                        Err(Fault::broken(format!("the answer came from port {}, not from the server's", from.port())))
                    }
                };
            }
            if gone || left <= slice {
                return Ok(None);
            }
            self.stage.is_over()?;
        }
    }

    /// Everything that comes within `limit`.
    pub fn replies(&mut self, limit: Duration) -> Result<Vec<Vec<u8>>, Fault> {
        let until = clock::now() + limit;
        let mut replies = Vec::new();
        while let Some(reply) = self.reply(until.saturating_duration_since(clock::now()))? {
            replies.push(reply);
        }
        Ok(replies)
    }

    /// Waits for the acknowledgement of the n-th chunk (0: of the start); `what` says what was done before.
    pub fn await_ack(&mut self, chunk: usize, what: &str) -> Result<Vec<u8>, Fault> {
        let began = clock::now();
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                self.send_again();
            }
            let mut others: Vec<String> = Vec::new();
            let until = clock::now() + self.patience;
            while let Some(reply) = self.reply(until.saturating_duration_since(clock::now()))? {
                if self.acknowledges(&reply, chunk) {
                    if attempt > 0 {
                        self.stage.note_asked_again();
                    }
                    return Ok(reply);
                }
                others.push(format!("`{}`", words(&reply)));
            }
            self.stage.alive(what)?;
            others.dedup();
            let expected = self.ack_words(chunk);
            if !others.is_empty() {
                let came = others[..others.len().min(3)].join(", ");
                return Err(Fault::broken(format!("{what}: {came} came instead of {expected}")));
            }
            // From now on it does not wait that long.
            self.patience = AGAIN_WITHIN;
        }
        let (seconds, expected) = (clock::now().saturating_duration_since(began).as_secs_f64(), self.ack_words(chunk));
        Err(Fault::broken(format!(
            "{what}: no answer within {seconds:.1} s, though it was sent {ATTEMPTS} times; expected {expected}"
        )))
    }

    /// Whether this reply acknowledges the n-th chunk (0: the start).
    pub fn acknowledges(&self, reply: &[u8], chunk: usize) -> bool {
        match (lab::decode(reply), self.spelling) {
            (Ok((Spelling::Spaced, Message::Ack { next, .. })), Spelling::Spaced) => next == self.number_after(chunk),
            // Clients of this spelling read the one digit behind `a|`.
            (Ok((Spelling::Compact, Message::Ack { .. })), Spelling::Compact) => {
                reply.get(2) == Some(&(b'0' + self.number_after(chunk) as u8))
            }
            _ => false,
        }
    }

    /// Sends the start and waits for its acknowledgement.
    pub fn start(&mut self, name: &str, size: usize) -> Result<(), Fault> {
        let start = self.start_message(name, size);
        self.start_with(&start)
    }

    /// Sends these bytes as the start and takes what is announced from the answer.
    pub fn start_with(&mut self, start: &[u8]) -> Result<(), Fault> {
        self.send(start);
        let reply = self.await_ack(0, &format!("`{}` was sent", words(start)))?;
        self.take_bufsize(&reply);
        Ok(())
    }

    /// What the start's acknowledgement announces.
    pub fn take_bufsize(&mut self, reply: &[u8]) {
        if let (Ok((_, Message::Ack { bufsize: Some(size), .. })), Spelling::Spaced) =
            (lab::decode(reply), self.spelling)
        {
            self.announced = true;
            self.bufsize = usize::try_from(size).unwrap_or(usize::MAX).clamp(16, crate::packet::MAX_DATAGRAM);
        }
    }

    /// Sends the n-th chunk and waits for its acknowledgement.
    pub fn put(&mut self, chunk: usize, bytes: &[u8]) -> Result<(), Fault> {
        let datagram = self.data_message(chunk, bytes);
        self.send(&datagram);
        let what = format!("{} was sent", self.data_words(chunk));
        self.await_ack(chunk, &what).map(drop)
    }

    /// Sends the chunks from the n-th on, one after the other.
    pub fn put_rest(&mut self, content: &[u8], from: usize) -> Result<(), Fault> {
        let size = self.chunk_max();
        for (index, bytes) in content.chunks(size).enumerate().skip(from - 1) {
            self.put(index + 1, bytes)?;
        }
        Ok(())
    }

    /// Copies a file as a correct client does on a perfect network, and looks at what was saved.
    pub fn copy(&mut self, name: &str, content: &[u8]) -> Result<(), Fault> {
        self.start(name, content.len())?;
        self.finish(name, content, 1)
    }

    /// Whether the file is there, as sent in chunks of the full size.
    pub fn saved(&self, name: &str, content: &[u8]) -> Result<(), Fault> {
        self.stage.has_file(name, content, self.chunk_max(), &|index| self.data_words(index + 1))
    }

    /// Sends the chunks from the n-th on and looks at what was saved. Where that gets stuck, the rest is sent all the same: what
    /// is in the file then shows what became of the chunks.
    pub fn finish(&mut self, name: &str, content: &[u8], from: usize) -> Result<(), Fault> {
        let stuck = match self.put_rest(content, from) {
            Ok(()) => return self.saved(name, content),
            Err(Fault::Broken(why)) => why,
            Err(other) => return Err(other),
        };
        let size = self.chunk_max();
        for (index, bytes) in content.chunks(size).enumerate().skip(from - 1) {
            if self.stage.epitaph().is_some() {
                break;
            }
            let datagram = self.data_message(index + 1, bytes);
            self.send(&datagram);
            self.reply(SOON)?;
        }
        self.stage.pause(SOON)?;
        let seen = self.stage.glance(name, content, size, &|index| self.data_words(index + 1));
        Err(Fault::Broken(seen.map_or(stuck.clone(), |seen| format!("{stuck}; {seen}"))))
    }
}

impl Drop for Talk<'_> {
    fn drop(&mut self) {
        self.stage.keep(self.recorder.exchange());
    }
}

/// What compact clients send in each datagram.
const COMPACT_CHUNK: usize = COMPACT_BUFSIZE - 4;

/// How long an answer may take that must come. With the repeats it is less than the 3 s after which a course server forgets.
const ANSWER_WITHIN: Duration = Duration::from_millis(1200);

/// How often a message is sent that must be answered: as often as the course's clients do it.
const ATTEMPTS: usize = 5;
const AGAIN_WITHIN: Duration = Duration::from_millis(300);

/// By then an answer has come that comes at all, on this machine.
const SOON: Duration = Duration::from_millis(300);

/// How often the server's life is looked at while waiting.
const SLICE: Duration = Duration::from_millis(50);

/// What a server sent before it ended may still be on its way for so long.
const GONE: Duration = Duration::from_millis(20);

const STEPS_MAX: usize = 8000;
