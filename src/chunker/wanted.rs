//! What somebody wants to get: paths beneath the folder of who has them, and the name of each where it comes to rest.
//!
//! Who asks also judges what comes: a server that names anything else than what it was asked for is not believed.

use super::manifest::{Entry, Item, Kind, ManifestReader};
use super::request::Earlier;
use crate::codec::{Cursor, Full, Writer};
use crate::compression::Compression;
use crate::name::{Printable, SafeName};
use thiserror::Error;

/// One path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Where it is, beneath the folder of who has it; `None` is that folder itself.
    pub path: Option<SafeName>,
    /// What it is to be called, in one component; `None` if what is in it is to come without a name around it.
    pub name: Option<SafeName>,
}

/// All that is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The paths, [`WISHES_MAX`] at most.
    pub wishes: Vec<Wish>,
    /// Also folders, with all that is in them.
    pub is_recursive: bool,
    /// Also the links inside them, as links; nothing without `is_recursive`.
    pub has_links: bool,
    /// How fast it is to come.
    pub pace: Pace,
    /// What becomes of what an earlier session left where it is to come to rest.
    pub earlier: Earlier,
    /// Whether it is to come compressed.
    pub compression: Compression,
}

/// Which congestion control the sender is to use. A fixed rate is not for others to choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// A model of the path.
    #[default]
    Bbr,
    /// What TCP does.
    Cubic,
    /// What yields to others.
    Background,
}

impl Wish {
    /// The body of its record.
    pub(super) fn write(&self) -> Result<Vec<u8>, Full> {
        let text = |name: &Option<SafeName>| name.as_ref().map_or(Vec::new(), |name| name.as_str().into());
        let (path, name) = (text(&self.path), text(&self.name));
        let mut body = Vec::new();
        let mut writer = Writer::new(&mut body, usize::MAX);
        writer.varint(path.len() as u64)?;
        writer.bytes(&path)?;
        writer.bytes(&name)?;
        Ok(body)
    }

    /// Reads what [`Wish::write`] wrote; `None` for anything else, unsafe names among it.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(body);
        let length = usize::try_from(cursor.varint()?).ok()?;
        let path = cursor.take(length)?;
        let name = cursor.rest();
        let parse =
            |bytes: &[u8]| if bytes.is_empty() { Some(None) } else { SafeName::from_bytes(bytes).ok().map(Some) };
        let wish = Self { path: parse(path)?, name: parse(name)? };
        wish.name.as_ref().is_none_or(|name| name.parent().is_none()).then_some(wish)
    }
}

impl Wanted {
    /// How many components of its path an entry's link may not lead out of.
    pub fn root(&self) -> usize {
        usize::from(self.wishes.iter().all(|wish| wish.name.is_some()))
    }

    /// Whether an entry of a manifest is of what is wanted.
    pub fn has(&self, entry: &Entry) -> bool {
        let path = entry.path.as_str();
        let first = path.split_once('/').map_or(path, |(first, _)| first);
        let is_plain = entry.kind.has_bytes() && first.len() == path.len();
        let is_known = !matches!(entry.kind, Kind::Link { .. }) || self.has_links;
        is_known
            && (is_plain || self.is_recursive)
            && self.wishes.iter().any(|wish| match &wish.name {
                Some(name) => name.as_str() == first,
                None => self.is_recursive,
            })
    }
}

impl Pace {
    /// Its number in a request.
    pub(super) fn number(self) -> u64 {
        match self {
            Pace::Bbr => 0,
            Pace::Cubic => 1,
            Pace::Background => 2,
        }
    }

    /// What has this number.
    pub(super) fn of(number: u64) -> Option<Self> {
        [Pace::Bbr, Pace::Cubic, Pace::Background].into_iter().find(|pace| pace.number() == number)
    }
}

/// Looks at a manifest before anybody acts on it.
#[derive(Debug)]
pub struct Vet {
    wanted: Wanted,
    /// `None` behind the manifest's end, and when it is none: others say so.
    reader: Option<ManifestReader>,
}

impl Vet {
    /// Of this nothing has come yet.
    pub fn new(wanted: Wanted) -> Self {
        Self { wanted, reader: Some(ManifestReader::new()) }
    }

    /// The next bytes of the manifest, or what follows it.
    ///
    /// # Errors
    /// [`Stranger`] when something is named that was not asked for; nothing of these bytes is to be believed then.
    pub fn look(&mut self, mut bytes: &[u8]) -> Result<(), Stranger> {
        while let Some(reader) = &mut self.reader {
            match reader.next(&mut bytes) {
                Ok(None) => return Ok(()),
                Ok(Some(Item::Entry(entry))) if self.wanted.has(&entry) => {}
                Ok(Some(Item::Entry(entry))) => return Err(Stranger(Printable(entry.path.as_str()).to_string())),
                Ok(Some(Item::Unsafe { reason, .. })) => return Err(Stranger(reason.to_string())),
                Ok(Some(Item::End(_))) | Err(_) => self.reader = None,
            }
        }
        Ok(())
    }
}

/// Something that was not asked for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the server sends what was not asked for ({0}); nothing of it is taken")]
pub struct Stranger(String);

/// Paths in one request: more than a person types, and few enough to look through for each entry.
pub const WISHES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunker::manifest::{ManifestWriter, Modified, Target};

    fn name(text: &str) -> Option<SafeName> {
        (!text.is_empty()).then(|| SafeName::parse(text).expect("a good name"))
    }

    fn wanted(names: &[&str], is_recursive: bool) -> Wanted {
        let wishes = names.iter().map(|text| Wish { path: name("some/where"), name: name(text) }).collect();
        Wanted { wishes, is_recursive, ..Wanted::default() }
    }

    fn manifest(entries: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = ManifestWriter::new(&mut out);
        for path in entries {
            let (path, kind) = match path.strip_suffix('/') {
                Some(folder) => (folder, Kind::Folder),
                None => (*path, Kind::File { size: 1 }),
            };
            let path = SafeName::parse(path).expect("a good name");
            let entry = Entry { path, kind, mode: 0o644, modified: Modified::default() };
            writer.entry(&entry, &mut out).expect("in order");
        }
        writer.end(&mut out);
        out.extend(b"digests follow");
        out
    }

    #[test]
    fn what_was_asked_for_passes_and_nothing_else_does() {
        for (asked, is_recursive, named, passes) in [
            (&["a"][..], false, &["a"][..], true),
            (&["a", "b"], false, &["a", "b"], true),
            (&["a", "b"], false, &["b"], true),
            (&["a"], false, &[], true),
            (&["a"], false, &["b"], false),
            (&["a"], false, &["a", "b"], false),
            (&["a"], false, &["a/"], false),
            (&["a"], false, &["a/b"], false),
            (&["a"], true, &["a/", "a/b", "a/c/", "a/c/d"], true),
            (&["a"], true, &["a/", "ab"], false),
            (&["a"], true, &[".bashrc"], false),
            (&[""], true, &["x/", "x/y", "z"], true),
            (&[""], false, &["z"], false),
            (&[], true, &["z"], false),
        ] {
            let bytes = manifest(named);
            for piece in [1, 1000] {
                let mut vet = Vet::new(wanted(asked, is_recursive));
                let judged = bytes.chunks(piece).try_for_each(|piece| vet.look(piece));
                assert_eq!(judged.is_ok(), passes, "{asked:?} {is_recursive} {named:?}: {judged:?}");
            }
        }
    }

    #[test]
    fn links_come_only_where_they_were_asked_for() {
        let link = |path: &str| {
            let target = Target::from_bytes(b"x").expect("text");
            Entry {
                path: SafeName::parse(path).expect("a name"),
                kind: Kind::Link { target },
                mode: 0,
                modified: Modified::default(),
            }
        };
        let asked = |has_links, is_recursive| Wanted { has_links, ..wanted(&["a"], is_recursive) };
        assert!(asked(true, true).has(&link("a/l")));
        assert!(!asked(false, true).has(&link("a/l")) && !asked(true, true).has(&link("b/l")));
        assert!(!asked(true, false).has(&link("a")) && !asked(true, false).has(&link("a/l")));
        assert_eq!((asked(true, true).root(), wanted(&[""], true).root()), (1, 0));
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_an_error_and_not_only_left_out() {
        // "a/.." as a hostile server would write it: shared 0, length 4, mode, time, size.
        let good = manifest(&["a/bb"]);
        let at = good.windows(4).position(|window| window == b"a/bb").expect("its name");
        let mut bad = good;
        bad[at..at + 4].copy_from_slice(b"a/..");
        let said = Vet::new(wanted(&["a"], true)).look(&bad);
        assert!(said.is_err_and(|stranger| stranger.to_string().contains("not asked for")));
    }

    #[test]
    fn a_wish_comes_back_and_an_unsafe_one_does_not() {
        for wish in [
            Wish { path: name("a/b c"), name: name("d") },
            Wish { path: None, name: None },
            Wish { path: name("a"), name: None },
        ] {
            assert_eq!(Wish::read(&wish.write().expect("short")), Some(wish));
        }
        for body in [&b""[..], b"\x05a", b"\x02..", b"\x02/a", b"\x01a..", b"\x01aa/b", b"\x01a/b", b"\x01\xffb"] {
            assert_eq!(Wish::read(body), None, "{body:?}");
        }
    }
}
