//! The room that a transfer may still take: promised with each entry, reserved from the first byte on.

use super::super::{
    Store,
    error::StoreError,
    place::{Place, Reservation},
};
use std::sync::Arc;

/// What a transfer needs.
pub(super) struct Space {
    store: Arc<Store>,
    /// Bytes of accepted entries, as long as nothing is reserved.
    promised: u64,
    reserved: Option<Reservation>,
    /// Bytes of them that an earlier session has written.
    written: u64,
}

impl Space {
    pub(super) fn new(store: &Arc<Store>) -> Self {
        Self { store: Arc::clone(store), promised: 0, reserved: None, written: 0 }
    }

    /// Promises bytes to an entry, if they fit beside what was promised before; `written` of them are on the disk already.
    pub(super) fn promise(&mut self, place: &Place, bytes: u64, written: u64) -> Result<(), StoreError> {
        let written = written.min(bytes);
        if let Some(reserved) = &mut self.reserved {
            return reserved.grow(place, bytes, written);
        }
        let (promised, there) = (self.promised.saturating_add(bytes), self.written.saturating_add(written));
        place.check_space(promised.saturating_sub(there), *self.store.reserved())?;
        (self.promised, self.written) = (promised, there);
        Ok(())
    }

    /// Reserves what was promised, at the first byte: who only announces blocks nobody.
    pub(super) fn begin(&mut self, place: &Place) -> Result<(), StoreError> {
        if self.reserved.is_none() {
            self.reserved = Some(place.reserve_besides(self.promised, self.written)?);
            self.promised = 0;
        }
        Ok(())
    }

    /// Gives back what the disk itself counts now, or what will not come.
    pub(super) fn release(&mut self, bytes: u64) {
        match &mut self.reserved {
            Some(reserved) => reserved.release(bytes),
            None => self.promised = self.promised.saturating_sub(bytes),
        }
    }
}
