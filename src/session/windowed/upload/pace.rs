//! How fast the user lets an upload send, and what holds it back.

use super::Upload;
use crate::limits::Limit;
use crate::session::congestion::Choice;
use crate::session::windowed::connection::Connection;
use crate::session::windowed::streams::Source;
use std::time::Instant;

impl<S> Upload<S> {
    /// Packets leave no faster than so many bytes of UDP payload per second, whatever the congestion control thinks of the path;
    /// `u64::MAX` for no limit. It may be changed at any time, and counts at once.
    pub fn handle_limit(&mut self, limit: u64, now: Instant) {
        self.limit = limit;
        if let Some((_, connection)) = &mut self.connection {
            connection.set_limit(limit, now);
        }
    }
}

/// What holds an upload back that has nothing more to send now.
pub(super) fn held_back_by(connection: &Connection, source: &impl Source, choice: Choice) -> Limit {
    match (connection.limit(source.behind()), choice) {
        (Limit::Path, Choice::Fixed(_)) => Limit::Rate,
        (Limit::Path, _) if connection.flight().is_limited() => Limit::Rate,
        (limit, _) => limit,
    }
}
