//! When the server's silence is worth a word, and when it is over.

use crate::io::events::windowed::UploadNote;
use std::time::{Duration, Instant};

/// What was said about a silence.
#[derive(Debug, Default)]
pub(in crate::app) struct Silence {
    /// Since when it lasts that was told of.
    told: Option<Instant>,
}

impl Silence {
    /// What is to be said, if what was asked waits `since` then for an answer.
    pub(in crate::app) fn look(
        &mut self,
        since: Option<Instant>,
        patience: Duration,
        now: Instant,
    ) -> Option<UploadNote> {
        let lasts = seconds(since, now);
        match (self.told, lasts) {
            (None, Some(seconds)) => {
                self.told = since;
                Some(UploadNote::Silent { seconds, patience: patience.as_secs() })
            }
            (Some(since), None) => {
                self.told = None;
                Some(UploadNote::Answering { seconds: now.saturating_duration_since(since).as_secs() })
            }
            (None, None) | (Some(_), Some(_)) => None,
        }
    }
}

/// How many seconds a silence has lasted, if it is worth a word.
pub(in crate::app) fn seconds(since: Option<Instant>, now: Instant) -> Option<u64> {
    let lasts = now.saturating_duration_since(since?);
    (lasts >= WORTH_A_WORD).then_some(lasts.as_secs())
}

/// Twice what the slowest path takes that anybody uses, and less than people wait before they wonder.
const WORTH_A_WORD: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_is_told_once_and_its_end_as_well() {
        #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
        let began = Instant::now();
        let (mut silence, patience) = (Silence::default(), Duration::from_secs(300));
        let mut told = Vec::new();
        for (since, second) in
            [(None, 0), (Some(1), 5), (Some(1), 6), (Some(1), 7), (None, 9), (None, 10), (Some(11), 12)]
        {
            let since = since.map(|second| began + Duration::from_secs(second));
            told.extend(silence.look(since, patience, began + Duration::from_secs(second)));
        }
        assert!(
            matches!(
                told[..],
                [UploadNote::Silent { seconds: 5, patience: 300 }, UploadNote::Answering { seconds: 8 }]
            ),
            "{told:?}"
        );
    }
}
