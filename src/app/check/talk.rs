//! A lab client that does on purpose what networks do by accident, and says what came back.

use super::content::difference;
use super::finding::Fault;
use super::stage::Stage;
use crate::io::asker::Asker;
use crate::io::clock;
use crate::packet::lab::{self, Message, Spelling, data_header_length};
use crate::trace::{Recorder, Side, Vantage, words};
use std::net::SocketAddr;
use std::time::Duration;

/// One client's side of a case.
pub struct Talk<'a> {
    pub(super) stage: &'a Stage,
    asker: Asker,
    pub(super) spelling: Spelling,
    /// The number of the start.
    first: u64,
    /// What the start's acknowledgement announced, in bytes.
    pub(super) bufsize: usize,
    /// Whether it announced anything.
    pub(super) announced: bool,
    /// How many chunks there may be: the longest number must fit a datagram as well.
    pub(super) chunks_max: u64,
    recorder: Recorder,
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
        Ok(Self { stage, asker, spelling, first, bufsize, announced: false, chunks_max: 9 - first % 10, recorder })
    }

    /// Where this client is.
    pub fn address(&self) -> Result<SocketAddr, Fault> {
        Ok(self.asker.local_address()?)
    }

    /// The number of the n-th chunk, counted from 1.
    pub fn number(&self, chunk: usize) -> u64 {
        match self.spelling {
            Spelling::Spaced => self.first + chunk as u64,
            Spelling::Compact => chunk as u64 % 2,
        }
    }

    /// The number that acknowledges the n-th chunk; 0 for the start.
    fn number_after(&self, chunk: usize) -> u64 {
        match self.spelling {
            Spelling::Spaced => self.first + chunk as u64 + 1,
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
                let header = data_header_length(self.first + self.chunks_max, self.spelling);
                self.bufsize.saturating_sub(header).max(1)
            }
            Spelling::Compact => COMPACT_CHUNK,
        }
    }

    /// A start.
    pub fn start_message(&self, name: &str, size: usize) -> Vec<u8> {
        let separator = self.separator();
        format!("s{separator}{}{separator}{name}{separator}{size}", self.first).into_bytes()
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
        let until = clock::now() + ANSWER_WITHIN;
        let mut others: Vec<String> = Vec::new();
        while let Some(reply) = self.reply(until.saturating_duration_since(clock::now()))? {
            if self.acknowledges(&reply, chunk) {
                return Ok(reply);
            }
            others.push(format!("`{}`", words(&reply)));
        }
        self.stage.alive(what)?;
        others.dedup();
        let expected = self.ack_words(chunk);
        Err(Fault::broken(match others.is_empty() {
            true => format!("{what}: no answer within {} s; expected {expected}", ANSWER_WITHIN.as_secs_f64()),
            false => format!("{what}: {} came instead of {expected}", others[..others.len().min(3)].join(", ")),
        }))
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

    /// Sends the chunks from the n-th on, and looks at what was saved; also when it went no further, because that may say why.
    pub fn finish(&mut self, name: &str, content: &[u8], from: usize) -> Result<(), Fault> {
        match self.put_rest(content, from) {
            Ok(()) => self.saved(name, content),
            Err(Fault::Broken(why)) => {
                let chunk = self.chunk_max();
                let found = self.stage.found(name);
                let differs = found.and_then(|found| difference(content, &found, chunk, |at| self.data_words(at + 1)));
                Err(Fault::Broken(differs.map_or(why.clone(), |differs| format!("{differs}; {why}"))))
            }
            Err(other) => Err(other),
        }
    }

    /// Whether the file is there, as sent in chunks of the full size.
    pub fn saved(&self, name: &str, content: &[u8]) -> Result<(), Fault> {
        self.stage.has_file(name, content, self.chunk_max(), &|index| self.data_words(index + 1))
    }
}

impl Drop for Talk<'_> {
    fn drop(&mut self) {
        self.stage.keep(self.recorder.exchange());
    }
}

/// What a compact datagram may have, and what its clients send.
pub const COMPACT_BUFSIZE: usize = 20_480;
const COMPACT_CHUNK: usize = COMPACT_BUFSIZE - 4;

/// How long an answer may take that must come: less than the 3 s after which a course server forgets.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// How often the server's life is looked at while waiting.
const SLICE: Duration = Duration::from_millis(50);

/// What a server sent before it ended may still be on its way for so long.
const GONE: Duration = Duration::from_millis(20);

const STEPS_MAX: usize = 8000;
