//! What was found: the manifest's bytes, where each file lies in the byte space, and where it is here.

use super::anchor::Anchor;
use super::exclude::Exclude;
use super::refusal::{Refusal, RefusalReason};
use super::state::FileState;
use super::stream::Stream;
use super::walk::{Step, Walk};
use crate::chunker::layout::{Layout, Piece};
use crate::chunker::manifest::{Entry, Kind, ManifestError, ManifestWriter, Modified, Summary};
use crate::codec::Cursor;
use crate::io::spool::{Records, Spool};
use crate::name::SafeName;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the walk came to.
#[derive(Debug)]
pub enum Found {
    /// An entry of the manifest.
    Entry {
        /// Its number, counted from 0.
        number: u32,
        /// What it is.
        entry: Entry,
    },
    /// Something that is not copied. The rest is.
    Refused(Refusal),
    /// That was all; the manifest is complete.
    End(Summary),
}

/// The table of the files that are to be copied.
pub(super) struct Catalogue {
    /// `None` when it came to its end.
    walk: Option<(Walk, ManifestWriter)>,
    pub(super) manifest: Spool,
    pub(super) layout: Layout,
    /// For each entry: whether links are followed and whether it has bytes, its state, its name there and its path.
    locations: Records,
    pub(super) stream: Option<Arc<Stream>>,
    anchor: Anchor,
}

/// The table, for all who read from it.
pub(super) type Shared = Arc<Mutex<Catalogue>>;

/// The table, for this one now; one who panicked left it whole.
pub(super) fn lock(catalogue: &Mutex<Catalogue>) -> MutexGuard<'_, Catalogue> {
    catalogue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where a file is here, and how it was when it was found.
pub(super) struct Location {
    pub(super) anchor: Anchor,
    pub(super) path: PathBuf,
    pub(super) follow: bool,
    pub(super) state: FileState,
}

/// What is known of an entry, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Its name at the other side.
    pub name: String,
    /// Where it is here.
    pub path: String,
    /// How many bytes it has, if that was known before it was read.
    pub size: u64,
}

/// What holds a part of the byte space.
pub(super) enum Holder {
    File,
    Stream(Arc<Stream>),
}

impl Catalogue {
    pub(super) fn new(walk: Walk, stream: Option<Arc<Stream>>) -> Self {
        let mut header = Vec::new();
        let writer = ManifestWriter::new(&mut header);
        let mut manifest = Spool::new();
        // Four bytes in memory.
        let written = manifest.append(&header);
        debug_assert!(written.is_ok());
        let (anchor, layout, locations) = (walk.anchor.clone(), Layout::new(), Records::new());
        Self { walk: Some((walk, writer)), manifest, layout, locations, stream, anchor }
    }

    /// Links inside a tree are copied as links from now on.
    pub(super) fn copy_links(&mut self) {
        if let Some((walk, _)) = &mut self.walk {
            walk.links = true;
        }
    }

    /// What the walk passes over from now on.
    pub(super) fn exclude(&mut self, exclude: Exclude) {
        if let Some((walk, _)) = &mut self.walk {
            walk.exclude = exclude;
        }
    }

    /// Whether the walk came to its end.
    pub(super) fn is_complete(&self) -> bool {
        self.walk.is_none()
    }

    /// Walks one step.
    pub(super) fn advance(&mut self) -> io::Result<Option<Found>> {
        let Some((walk, _)) = &mut self.walk else { return Ok(None) };
        match walk.step() {
            Some(Step::Refused(refusal)) => Ok(Some(Found::Refused(refusal))),
            Some(Step::Found { entry, path, follow, state }) => {
                let flags = u8::from(follow) | u8::from(!entry.kind.has_bytes()) << 1;
                let name = entry.path.as_str().as_bytes();
                let length = u16::try_from(name.len()).unwrap_or_default().to_be_bytes();
                let location = [&[flags][..], &state.to_bytes(), &length, name, path.as_os_str().as_bytes()].concat();
                Ok(Some(match self.add(&entry, &location)? {
                    Ok(number) => Found::Entry { number, entry },
                    Err(error) => Found::Refused(Refusal { path, reason: RefusalReason::TooMuch(error.to_string()) }),
                }))
            }
            None => self.end(),
        }
    }

    /// Where a file is here.
    pub(super) fn location(&mut self, entry: u32) -> io::Result<Location> {
        let bytes = self.locations.get(entry)?.unwrap_or_default();
        let mut cursor = Cursor::new(bytes);
        let (Some(flags), Some(state), Some(_)) = (cursor.byte(), FileState::read(&mut cursor), read_name(&mut cursor))
        else {
            return Err(io::Error::other(format!("entry {entry} is not in the table")));
        };
        let anchor = self.anchor.clone();
        Ok(Location { anchor, path: PathBuf::from(OsStr::from_bytes(cursor.rest())), follow: flags & 1 != 0, state })
    }

    /// What is known of an entry; of a stream and of what is not in the table nothing but its number.
    pub(super) fn describe(&mut self, entry: u32) -> Described {
        let range = self.layout.range(entry).filter(|_| !self.is_stream(entry));
        let size = range.map_or(0, |range| range.end - range.start);
        let mut parse = || {
            let mut cursor = Cursor::new(self.locations.get(entry).ok()??);
            let (_, _, name) = (cursor.byte()?, FileState::read(&mut cursor)?, read_name(&mut cursor)?);
            Some((String::from_utf8_lossy(name).into_owned(), String::from_utf8_lossy(cursor.rest()).into_owned()))
        };
        let (name, path) = parse().unwrap_or_else(|| ("-".into(), "-".into()));
        Described { name, path, size }
    }

    /// Whether an entry is a folder or a link, and so has no bytes and no digest.
    pub(super) fn is_bare(&mut self, entry: u32) -> bool {
        let location = self.locations.get(entry).ok().flatten();
        location.and_then(<[u8]>::first).is_some_and(|flags| flags & 2 != 0)
    }

    /// Whether nobody may wait for who reads: standard input may keep him for ever, and a server has others to serve.
    pub(super) fn is_left_alone(&self) -> bool {
        self.stream.is_some() || self.anchor.is_beneath()
    }

    /// Whether an entry is standard input.
    pub(super) fn is_stream(&self, entry: u32) -> bool {
        self.layout.is_open() && entry.checked_add(1) == Some(self.layout.entries())
    }

    /// What comes at an offset, and what holds it.
    pub(super) fn locate(&self, offset: u64) -> Option<(Piece, Holder)> {
        let piece = self.layout.locate(offset)?;
        let stream = self.stream.as_ref().filter(|_| self.is_stream(piece.entry));
        Some((piece, stream.map_or(Holder::File, |stream| Holder::Stream(Arc::clone(stream)))))
    }

    /// Adds an entry to everything, or says why no manifest can have it.
    fn add(&mut self, entry: &Entry, location: &[u8]) -> io::Result<Result<u32, ManifestError>> {
        let mut bytes = Vec::new();
        let Some((walk, writer)) = &mut self.walk else { return Ok(Err(ManifestError::TooMany)) };
        if let Err(error) = writer.entry(entry, &mut bytes) {
            if error == ManifestError::TooMany {
                walk.stop();
            }
            return Ok(Err(error));
        }
        self.manifest.append(&bytes)?;
        let number = self.locations.count();
        self.locations.push(location)?;
        let laid = match entry.kind {
            Kind::File { size } => self.layout.push(size),
            Kind::Folder | Kind::Link { .. } => self.layout.push(0),
            Kind::Open => self.layout.push_open(),
        };
        debug_assert!(laid, "the manifest keeps the same limits");
        Ok(Ok(number))
    }

    /// The stream comes last, then the end.
    fn end(&mut self) -> io::Result<Option<Found>> {
        let name = self.walk.as_mut().and_then(|(walk, _)| walk.stream.take());
        if let Some(path) = name.and_then(|name| SafeName::parse(&name).ok()) {
            let modified = self.stream.as_ref().map_or(Ok(Modified::default()), |stream| stream.modified())?;
            let entry = Entry { path, kind: Kind::Open, mode: STREAM_MODE, modified };
            return Ok(match self.add(&entry, b"")? {
                Ok(number) => Some(Found::Entry { number, entry }),
                Err(error) => {
                    let reason = RefusalReason::TooMuch(error.to_string());
                    Some(Found::Refused(Refusal { path: PathBuf::from("-"), reason }))
                }
            });
        }
        let Some((_, writer)) = self.walk.take() else { return Ok(None) };
        let mut bytes = Vec::new();
        let summary = writer.end(&mut bytes);
        self.manifest.append(&bytes)?;
        Ok(Some(Found::End(summary)))
    }
}

fn read_name<'a>(cursor: &mut Cursor<'a>) -> Option<&'a [u8]> {
    let length = cursor.array().map(u16::from_be_bytes)?;
    cursor.take(length.into())
}

/// What new files usually get; the other side's umask takes its part of it.
const STREAM_MODE: u32 = 0o666;
