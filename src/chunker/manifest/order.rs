//! Whether an entry may come next: ascending paths, nothing inside a file or a link, nothing after the open one, limits kept.

use super::entry::Kind;
use super::error::ManifestError;
use crate::chunker::layout::SPACE_MAX;

/// The most entries of a manifest: a million, more than a sane tree has, and what the bounds of memory are made for.
pub const ENTRIES_MAX: u64 = 1_000_000;

/// What a manifest counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Files, the open one included.
    pub files: u64,
    /// Folders.
    pub folders: u64,
    /// Bytes in files of known size.
    pub bytes: u64,
    /// Links.
    pub links: u64,
}

/// What the entries so far allow.
#[derive(Clone, Debug, Default)]
pub(super) struct Order {
    summary: Summary,
    /// The path of the last entry, and whether it is a folder.
    last: Option<(Vec<u8>, bool)>,
    open: bool,
}

impl Order {
    /// Takes the next entry in, or says why it may not come here.
    pub(super) fn accept(&mut self, path: &[u8], kind: &Kind) -> Result<(), ManifestError> {
        let entry = self.entries();
        if entry >= ENTRIES_MAX {
            return Err(ManifestError::TooMany);
        }
        if self.open {
            return Err(ManifestError::AfterOpen { entry });
        }
        if let Some((last, is_folder)) = &self.last {
            if !is_folder && path.strip_prefix(last.as_slice()).is_some_and(|rest| rest.starts_with(b"/")) {
                return Err(ManifestError::InAFile { entry });
            }
            if *kind != Kind::Open && !sorting(last).lt(sorting(path)) {
                return Err(ManifestError::Order { entry });
            }
        }
        let size = if let Kind::File { size } = kind { *size } else { 0 };
        let bytes = self.summary.bytes.checked_add(size).filter(|bytes| *bytes <= SPACE_MAX);
        self.summary.bytes = bytes.ok_or(ManifestError::TooLarge)?;
        match kind {
            Kind::Folder => self.summary.folders = self.summary.folders.saturating_add(1),
            Kind::Link { .. } => self.summary.links = self.summary.links.saturating_add(1),
            Kind::File { .. } | Kind::Open => self.summary.files = self.summary.files.saturating_add(1),
        }
        self.open = *kind == Kind::Open;
        self.last = Some((path.to_vec(), *kind == Kind::Folder));
        Ok(())
    }

    /// How many entries there are.
    pub(super) fn entries(&self) -> u64 {
        self.summary.files.saturating_add(self.summary.folders).saturating_add(self.summary.links)
    }

    /// What they count.
    pub(super) fn summary(&self) -> Summary {
        self.summary
    }
}

/// A path as its bytes sort: the separator before every other byte, so that whole components are compared.
fn sorting(path: &[u8]) -> impl Iterator<Item = u16> + '_ {
    path.iter().map(|byte| if *byte == b'/' { 0 } else { u16::from(*byte).saturating_add(1) })
}
