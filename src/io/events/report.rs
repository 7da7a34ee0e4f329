//! Where notes go.

use super::Note;
use super::chat::Tables;
use std::io;

/// Where notes go.
pub trait Report {
    /// Tells one.
    ///
    /// # Errors
    /// When nobody can read it any more (a closed pipe).
    fn note(&mut self, note: &Note) -> io::Result<()>;

    /// The failure that is told next is one of its own among those with the same exit code: the server's key has changed.
    fn key_changed(&mut self) {}

    /// When whoever reads wants to see a table.
    fn tables(&self) -> Tables {
        Tables::None
    }
}

/// Tells each note to a function; nobody can go away.
pub struct Listener<F>(pub F);

impl<F: FnMut(&Note)> Report for Listener<F> {
    fn note(&mut self, note: &Note) -> io::Result<()> {
        (self.0)(note);
        Ok(())
    }
}

/// Tells nobody.
pub struct Silence;

impl Report for Silence {
    fn note(&mut self, _note: &Note) -> io::Result<()> {
        Ok(())
    }
}

impl<R: Report + ?Sized> Report for Box<R> {
    fn note(&mut self, note: &Note) -> io::Result<()> {
        (**self).note(note)
    }

    fn key_changed(&mut self) {
        (**self).key_changed();
    }

    fn tables(&self) -> Tables {
        (**self).tables()
    }
}
