//! Passes on how fast the user wants to send.

use super::Sending;
use crate::io::events::Note;
use crate::io::events::windowed::UploadNote;
use crate::io::sources::Feed;
use crate::session::windowed::caller::Caller;
use std::io;
use std::time::Instant;

impl Sending<'_> {
    /// Takes over the limit, when it is said first and when it changes.
    pub(super) fn limit(&mut self, caller: &mut Caller<Feed>, now: Instant) -> io::Result<()> {
        while let Some(change) = self.throttle.poll() {
            match change {
                Ok(limit) => {
                    self.limit = limit;
                    caller.upload().handle_limit(limit, now);
                    let bytes_per_second = (limit != u64::MAX).then_some(limit);
                    self.report.note(&Note::Uploading(UploadNote::Limited { bytes_per_second }))?;
                }
                Err(error) => {
                    self.report.note(&Note::Remark { text: format!("{error}; the limit stays as it was") })?
                }
            }
        }
        Ok(())
    }
}
