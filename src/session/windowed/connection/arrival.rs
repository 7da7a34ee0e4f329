//! Bytes that came, as they are or compressed: the new ones go to who takes them.

use crate::packet::windowed::frame::{Compressed, Space};
use crate::session::windowed::compressed::incoming::Progress;
use crate::session::windowed::connection::packet::Verdict;
use crate::session::windowed::connection::{Connection, Sink};
use crate::session::windowed::inbox::Arrival;

impl Connection {
    /// Bytes of a space came. `Err` is what the peer did wrong.
    pub(super) fn handle_bytes(
        &mut self,
        (space, offset, bytes): (Space, u64, &[u8]),
        verdict: &mut Verdict,
        sink: &mut dyn Sink,
    ) -> Result<(), String> {
        if !sink.has_room(space) {
            verdict.is_dropped = true;
            return Ok(());
        }
        let range = offset..offset.saturating_add(bytes.len() as u64);
        let arrival = self.streams.on_bytes(space, range).ok_or(OURS)?.map_err(|error| error.to_string())?;
        deliver(arrival, (space, offset, bytes), verdict, sink);
        self.judge_urgency(space, verdict);
        Ok(())
    }

    /// A piece of a compressed block came. `Err` is what the peer did wrong.
    pub(super) fn handle_compressed(
        &mut self,
        piece: &Compressed<'_>,
        verdict: &mut Verdict,
        sink: &mut dyn Sink,
    ) -> Result<(), String> {
        if !sink.has_room(Space::Data) {
            verdict.is_dropped = true;
            return Ok(());
        }
        let inbox = self.streams.inbox(Space::Data).ok_or(OURS)?;
        if !inbox.check(&piece.range()).map_err(|error| error.to_string())? {
            return Ok(());
        }
        let progress = self.blocks.on_piece(piece, inbox.received()).map_err(|bad| bad.to_string())?;
        verdict.is_dropped |= progress == Progress::Dropped;
        if progress != Progress::Complete {
            return Ok(());
        }
        let arrival =
            self.streams.on_bytes(Space::Data, piece.range()).ok_or(OURS)?.map_err(|error| error.to_string())?;
        if arrival == Arrival::Dropped {
            // The block stays complete; this piece comes again, and with it another try.
            verdict.is_dropped = true;
            return Ok(());
        }
        let bytes = self.blocks.finish(piece.start).map_err(|bad| bad.to_string())?;
        deliver(arrival, (Space::Data, piece.start, bytes), verdict, sink);
        self.judge_urgency(Space::Data, verdict);
        Ok(())
    }

    /// Bytes of files that went or came in compressed blocks, and how many bytes these blocks have.
    pub fn compressed(&self) -> (u64, u64) {
        let ((sent, out), (received, came)) = (self.streams.compressed(), self.blocks.counts());
        (sent.saturating_add(received), out.saturating_add(came))
    }

    fn judge_urgency(&self, space: Space, verdict: &mut Verdict) {
        verdict.is_urgent |= self.streams.inbox(space).is_some_and(|inbox| inbox.is_complete());
    }
}

/// Hands over what of the bytes is new.
fn deliver(arrival: Arrival, (space, offset, bytes): (Space, u64, &[u8]), verdict: &mut Verdict, sink: &mut dyn Sink) {
    match arrival {
        Arrival::New => sink.take(space, offset, bytes),
        Arrival::Partly(ranges) => {
            for new in ranges {
                let piece = (new.start - offset) as usize..(new.end - offset) as usize;
                sink.take(space, new.start, bytes.get(piece).unwrap_or_default());
            }
        }
        Arrival::Duplicate => {}
        Arrival::Dropped => verdict.is_dropped = true,
    }
}

const OURS: &str = "bytes came of a kind that only we send";
