//! What the packets carry: bytes of the three spaces, permission to send them, and the word that all is done.

use super::compressed::outgoing::Outgoing;
use super::inbox::{Arrival, Inbox, Violation};
use super::outbox::Outbox;
use crate::codec::Writer;
use crate::limits::Limit;
use crate::packet::windowed::frame::{Extent, Frame, Space, begin_bytes, bytes_header_length, compressed};
use crate::ranges::RangeSet;
use std::ops::Range;

/// Where the bytes that are sent come from.
pub trait Source {
    /// Fills `into` with the bytes from `offset` on; says `false` when they are not there yet.
    fn read(&mut self, space: Space, offset: u64, into: &mut [u8]) -> bool;

    /// How the first of these bytes of the files, none of which was sent, go best. A block that is compressed is given away: nobody asks for
    /// its bytes again. `may_compress` says whether there is one to be given.
    fn form(&mut self, range: Range<u64>, may_compress: bool) -> Form {
        let _ = may_compress;
        Form::Plain { end: range.end }
    }

    /// What holds it back when it has nothing more to send.
    fn behind(&self) -> Limit {
        Limit::Disk
    }
}

/// How bytes of files go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// As they are, up to this offset; what follows is asked for when it is its turn.
    Plain {
        /// Behind the first of them.
        end: u64,
    },
    /// Compressed.
    Compressed {
        /// As many of the bytes that were asked for: at least one, at most [`BLOCK_MAX`](crate::compression::BLOCK_MAX).
        length: usize,
        /// One zstd frame, shorter than that.
        bytes: Vec<u8>,
    },
}

/// What a packet carried, to know what its fate means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// A piece of an ordered stream, and one of the files; two if the first is compressed.
    stream: Option<Piece>,
    data: [Option<Piece>; 2],
    /// By [`index`].
    limits: [bool; SPACES],
    done: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    space: Space,
    offset: u64,
    length: u32,
}

/// Both directions of all spaces. Each side opens those that it sends and those that it receives.
#[derive(Debug, Default)]
pub struct Streams {
    out: [Option<Outbox>; SPACES],
    inward: [Option<Inbox>; SPACES],
    compressed: Outgoing,
    done: Word,
}

/// Something that is said until it is known to have arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Word {
    /// It is not to be said.
    #[default]
    Unsaid,
    /// It is to be said with the next packet.
    Due,
    /// It is on its way.
    Said,
    /// It is there.
    Heard,
}

impl Streams {
    /// Opens a space for sending. What the peer has already (`kept`) is never sent.
    pub fn open_out(&mut self, space: Space, kept: &RangeSet) {
        *slot(&mut self.out, space) = Some(Outbox::new(kept));
    }

    /// Opens a space for receiving: `kept` is here already, and up to `window` bytes may wait to be taken.
    ///
    /// All of the window is open from the beginning, and is announced with the first packet.
    pub fn open_in(&mut self, space: Space, kept: RangeSet, window: u64) {
        let mut inbox = Inbox::new(kept, window);
        inbox.poll_limit();
        inbox.on_limit_lost();
        *slot(&mut self.inward, space) = Some(inbox);
    }

    /// There are bytes to send up to the offset `end`.
    pub fn on_available(&mut self, space: Space, end: u64) {
        if let Some(outbox) = slot(&mut self.out, space) {
            outbox.on_available(end);
        }
    }

    /// The peer takes bytes up to `limit`.
    pub fn on_limit(&mut self, space: Space, limit: u64) {
        if let Some(outbox) = slot(&mut self.out, space) {
            outbox.on_limit(limit);
        }
    }

    /// Bytes came; says which of them are new. `None` for a space in which nothing may come.
    pub fn on_bytes(&mut self, space: Space, range: Range<u64>) -> Option<Result<Arrival, Violation>> {
        slot(&mut self.inward, space).as_mut().map(|inbox| inbox.on_data(range))
    }

    /// So many bytes that came are taken care of.
    pub fn on_taken(&mut self, space: Space, bytes: u64) {
        if let Some(inbox) = slot(&mut self.inward, space) {
            inbox.on_written(bytes);
        }
    }

    /// Nothing below this offset is wanted any more; what of it did not come may stay away.
    pub fn on_passed(&mut self, space: Space, end: u64) {
        if let Some(inbox) = slot(&mut self.inward, space) {
            inbox.on_passed(end);
        }
    }

    /// These bytes are never to be sent: they are as good as there. But for those in a compressed block that was begun, for others are in it.
    pub fn on_void(&mut self, space: Space, range: Range<u64>) {
        let ranges = if space == Space::Data { self.compressed.outside(range) } else { vec![range] };
        if let Some(outbox) = slot(&mut self.out, space) {
            ranges.into_iter().for_each(|range| outbox.on_void(range));
        }
    }

    /// There will be no more bytes to send than are there.
    pub fn on_complete(&mut self, space: Space) {
        if let Some(outbox) = slot(&mut self.out, space) {
            outbox.on_complete();
        }
    }

    /// The path loses packets: see [`Outbox::insure`].
    pub fn insure(&mut self) {
        self.out.iter_mut().flatten().for_each(Outbox::insure);
    }

    /// What comes in this space ends there.
    pub fn on_end(&mut self, space: Space, end: u64) -> Option<Result<(), Violation>> {
        slot(&mut self.inward, space).as_mut().map(|inbox| inbox.on_end(end))
    }

    /// The receiving side of a space.
    pub fn inbox(&self, space: Space) -> Option<&Inbox> {
        self.inward.get(index(space)).and_then(Option::as_ref)
    }

    /// The sending side of a space.
    pub fn outbox(&self, space: Space) -> Option<&Outbox> {
        self.out.get(index(space)).and_then(Option::as_ref)
    }

    /// How many bytes of files went compressed, and how many bytes that made of them.
    pub fn compressed(&self) -> (u64, u64) {
        self.compressed.counts()
    }

    /// Says that all is done, until it is heard.
    pub fn say_done(&mut self) {
        if self.done == Word::Unsaid {
            self.done = Word::Due;
        }
    }

    /// Whether the peer has heard that all is done.
    pub fn is_done_heard(&self) -> bool {
        self.done == Word::Heard
    }

    /// Whether there is something to send, other than permissions.
    pub fn has_next(&self) -> bool {
        self.done == Word::Due || self.out.iter().flatten().any(Outbox::has_next)
    }

    /// Writes as much as fits into a packet, and says what; nothing but permissions unless `may_carry`.
    pub fn write(&mut self, writer: &mut Writer<'_>, source: &mut dyn Source, may_carry: bool) -> Carried {
        let mut carried = Carried { limits: self.write_limits(writer), ..Carried::default() };
        if !may_carry {
            return carried;
        }
        let answer = self.outbox(Space::Answer).map_or(0, Outbox::available);
        if self.done == Word::Due && (Frame::Done { answer }).encode(writer).is_ok() {
            (self.done, carried.done) = (Word::Said, true);
        }
        for space in [Space::Answer, Space::Manifest] {
            if carried.stream.is_none() {
                carried.stream = self.write_piece(space, Extent::Counted, writer, source);
            }
        }
        let (first, is_compressed) = self.write_data(writer, source);
        // Compressed blocks may end long before the packet does.
        let second = if is_compressed && writer.room() >= ROOM_MIN { self.write_data(writer, source).0 } else { None };
        carried.data = [first, second];
        carried
    }

    /// Whether a permission waits to be sent.
    pub fn has_limit(&self) -> bool {
        self.inward.iter().flatten().any(Inbox::has_limit)
    }

    /// A packet with this arrived.
    pub fn on_arrived(&mut self, carried: &Carried) {
        for piece in carried.pieces() {
            if let Some(outbox) = slot(&mut self.out, piece.space) {
                outbox.on_acked(piece.range());
                if piece.space == Space::Data {
                    self.compressed.on_acked(piece.offset, outbox);
                }
            }
        }
        if carried.done {
            self.done = Word::Heard;
        }
    }

    /// A packet with this is lost: what matters of it is said again.
    pub fn on_lost(&mut self, carried: &Carried) {
        for piece in carried.pieces() {
            if let Some(outbox) = slot(&mut self.out, piece.space) {
                outbox.on_lost(piece.range());
            }
        }
        for (inbox, _) in self.inward.iter_mut().zip(carried.limits).filter(|(_, was_said)| *was_said) {
            if let Some(inbox) = inbox {
                inbox.on_limit_lost();
            }
        }
        if carried.done && self.done == Word::Said {
            self.done = Word::Due;
        }
    }

    /// What a probe is best filled with: the last word, or the oldest bytes that are under way, go out once more.
    pub fn repeat_oldest(&mut self) {
        if self.done == Word::Said {
            self.done = Word::Due;
            return;
        }
        for outbox in self.out.iter_mut().flatten() {
            if let Some(range) = outbox.oldest_in_flight(REPEATED) {
                outbox.on_lost(range);
                return;
            }
        }
    }

    fn write_limits(&mut self, writer: &mut Writer<'_>) -> [bool; SPACES] {
        let mut said = [false; SPACES];
        for space in [Space::Data, Space::Manifest, Space::Answer] {
            let Some(inbox) = slot(&mut self.inward, space) else { continue };
            let Some(limit) = inbox.poll_limit() else { continue };
            match (Frame::MaxBytes { space, limit }).encode(writer) {
                Ok(()) => said[index(space)] = true,
                Err(_) => inbox.on_limit_lost(),
            }
        }
        said
    }

    fn write_piece(
        &mut self,
        space: Space,
        extent: Extent,
        writer: &mut Writer<'_>,
        source: &mut dyn Source,
    ) -> Option<Piece> {
        let outbox = slot(&mut self.out, space).as_mut()?;
        // No header is longer than for the last offset and the longest packet.
        let room = writer.room().checked_sub(bytes_header_length(1 << 61, writer.room(), extent))?;
        let range = outbox.next(room as u64)?;
        let length = (range.end - range.start) as usize;
        let written = writer.all_or_none(|writer| {
            begin_bytes(space, range.start, length, extent, writer)?;
            writer.fill(length, |into| source.read(space, range.start, into))
        });
        if written.is_err() {
            outbox.on_lost(range);
            return None;
        }
        Some(Piece::new(space, range))
    }

    /// Writes the next bytes of files; says whether they are compressed. Others go to the packet's end.
    fn write_data(&mut self, writer: &mut Writer<'_>, source: &mut dyn Source) -> (Option<Piece>, bool) {
        let Some(outbox) = slot(&mut self.out, Space::Data) else { return (None, false) };
        let room = writer.room().saturating_sub(bytes_header_length(1 << 61, writer.room(), Extent::ToTheEnd));
        let Some(mut next) = outbox.peek(room as u64) else { return (None, false) };
        let room_compressed = writer.room().saturating_sub(compressed::OVERHEAD);
        let Some(is_compressed) = self.compressed.narrow(&mut next, room_compressed, source) else {
            return (None, false);
        };
        if !is_compressed {
            next.range.end = next.range.end.min(next.range.start.saturating_add(room as u64));
        }
        let range = next.range.clone();
        outbox.take(next);
        let written = if is_compressed {
            self.compressed.write(&range, writer)
        } else {
            let length = (range.end - range.start) as usize;
            writer.all_or_none(|writer| {
                begin_bytes(Space::Data, range.start, length, Extent::ToTheEnd, writer)?;
                writer.fill(length, |into| source.read(Space::Data, range.start, into))
            })
        };
        if written.is_err() {
            outbox.on_lost(range);
            return (None, false);
        }
        (Some(Piece::new(Space::Data, range)), is_compressed)
    }
}

impl Carried {
    /// Whether there is anything but permissions.
    pub fn has_content(&self) -> bool {
        self.pieces().next().is_some() || self.done
    }

    fn pieces(&self) -> impl Iterator<Item = Piece> + use<> {
        [self.stream].into_iter().chain(self.data).flatten()
    }
}

impl Piece {
    fn new(space: Space, range: Range<u64>) -> Self {
        let length = range.end.saturating_sub(range.start);
        Self { space, offset: range.start, length: u32::try_from(length).unwrap_or(u32::MAX) }
    }

    fn range(self) -> Range<u64> {
        self.offset..self.offset.saturating_add(u64::from(self.length))
    }
}

fn index(space: Space) -> usize {
    match space {
        Space::Data => 0,
        Space::Manifest => 1,
        Space::Answer => 2,
    }
}

fn slot<T>(slots: &mut [Option<T>; SPACES], space: Space) -> &mut Option<T> {
    let [data, manifest, answer] = slots;
    match space {
        Space::Data => data,
        Space::Manifest => manifest,
        Space::Answer => answer,
    }
}

const SPACES: usize = 3;

/// So much room is left in a packet that another piece of a compressed block is worth its header.
const ROOM_MIN: usize = 100;

/// What a probe repeats at most: about a packet.
const REPEATED: u64 = 1000;
