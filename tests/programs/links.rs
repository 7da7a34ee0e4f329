//! Trees with links and files with holes go both ways, with permissions and times where that is asked for: what is the same afterwards, and what is refused.

use crate::harness::{CLIENT, Ended, Program};
use crate::windowed::{Pair, text};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

fn get(pair: &Pair, target: impl ToString, more: &[&str]) -> Ended {
    let (target, keys) = (target.to_string(), pair.keys.at("client"));
    Program::start(CLIENT, &[&["--get", &target, "--config-dir", text(&keys)], more].concat()).end()
}

/// What a walk finds of each path: its permissions (a link has none), its time of change, and its target or content.
type Walked = BTreeMap<String, (u32, (i64, i64), Vec<u8>)>;

fn walk(root: &Path) -> Walked {
    let (mut found, mut left) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(path) = left.pop() {
        let metadata = path.symlink_metadata().expect("it is there");
        let mode = if metadata.is_symlink() { 0 } else { metadata.mode() & 0o7777 };
        let content = if metadata.is_dir() {
            left.extend(fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()));
            Vec::new()
        } else if metadata.is_symlink() {
            text(&fs::read_link(&path).expect("a link")).into()
        } else {
            fs::read(&path).expect("a file")
        };
        let name = text(path.strip_prefix(root).expect("beneath it")).to_owned();
        found.insert(name, (mode, (metadata.mtime(), metadata.mtime_nsec()), content));
    }
    found
}

/// Paths with their targets and contents alone.
fn contents(walked: Walked) -> BTreeMap<String, Vec<u8>> {
    walked.into_iter().map(|(name, (_, _, content))| (name, content)).collect()
}

/// Files, folders and links that may all be copied, with odd permissions and old times.
fn linked_tree(root: &Path) {
    fs::create_dir_all(root.join("sub/deep")).expect("folders");
    fs::create_dir(root.join("empty")).expect("a folder");
    for (name, size, mode) in [("f", 5, 0o640), ("sub/tool", 70_000, 0o751), ("sub/deep/x", 0, 0o444)] {
        fs::write(root.join(name), vec![7; size]).expect("a file");
        dated(&root.join(name), mode);
    }
    for (target, name) in
        [("f", "l"), ("../f", "sub/up"), ("../..", "sub/deep/top"), ("sub/deep/", "down"), ("no/where", "dangling")]
    {
        symlink(target, root.join(name)).expect("a link");
        aged(&root.join(name));
    }
    for (name, mode) in [("sub/deep", 0o700), ("sub", 0o755), ("empty", 0o711), (".", 0o750)] {
        dated(&root.join(name), mode);
    }
}

fn dated(path: &Path, mode: u32) {
    let past = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    fs::File::open(path).and_then(|file| file.set_modified(past)).expect("our file");
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("our file");
}

/// The same for a link itself.
fn aged(link: &Path) {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
    let past = Timespec { tv_sec: 1_000_000_001, tv_nsec: 5 };
    let times = Timestamps { last_access: past, last_modification: past };
    utimensat(CWD, link, &times, AtFlags::SYMLINK_NOFOLLOW).expect("our link");
}

#[test]
fn a_tree_with_links_is_the_same_there_and_back_again() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&["--allow-get"]);
    let tree = pair.here.at("t");
    linked_tree(&tree);
    let expected = walk(&tree);
    let ended = pair.copy(address, &["-rp", "--links", text(&tree), "to/", "--json"]).expect(0);
    assert_eq!(walk(&pair.there.at("to/t")), expected);
    let finished = ended.events().pop().expect("a last event");
    assert_eq!((&finished["files"], &finished["missing"]), (&3.into(), &0.into()), "{finished}");
    get(&pair, address, &["-rp", "--links", "to/t", text(&pair.here.at("back"))]).expect(0);
    assert_eq!(walk(&pair.here.at("back")), expected);
    // Without a name around it, and with fresh permissions and times.
    pair.copy(address, &["-r", "--links", text(&tree.join(".")), "bare"]).expect(0);
    let expected = contents(expected);
    assert_eq!(contents(walk(&pair.there.at("bare"))), expected);
    get(&pair, address, &["-r", "--links", "bare/.", text(&pair.here.at("bare/"))]).expect(0);
    assert_eq!(contents(walk(&pair.here.at("bare"))), expected);
    pair.there.expect_tidy();
    pair.here.expect_tidy();
}

#[test]
fn without_links_none_is_copied_and_with_them_those_that_lead_out_are_told_of() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&["--allow-get"]);
    for folder in [&pair.here, &pair.there] {
        let tree = folder.at("t");
        fs::create_dir_all(&tree).expect("a folder");
        fs::write(tree.join("f"), "f").expect("a file");
        fs::write(folder.at("outside"), "o").expect("a file");
        for (target, name) in [("f", "good"), ("../outside", "out"), ("/etc/passwd", "absolute"), (".f", "hidden")] {
            symlink(target, tree.join(name)).expect("a link");
        }
    }
    let tree = pair.here.at("t");
    let ended = pair.copy(address, &["-r", text(&tree), "none"]).expect(6).saying("copied only with --links");
    assert!(ended.out.iter().any(|line| line.contains("4 not copied")), "{ended:#?}");
    assert_eq!(contents(walk(&pair.there.at("none"))).len(), 2);
    // One more is refused by the server, which takes no hidden names.
    let ended =
        pair.copy(address, &["-r", "--links", text(&tree), "some"]).expect(6).saying("leads out of what is copied");
    ended.saying("begins with `/`").saying("\"hidden\" is a link that leads to a hidden name");
    assert_eq!(contents(walk(&pair.there.at("some"))).into_keys().collect::<Vec<_>>(), ["", "f", "good"]);
    // The other way round.
    get(&pair, address, &["-r", "t", text(&pair.here.at("none"))]).expect(4).saying("with --links");
    assert_eq!(contents(walk(&pair.here.at("none"))).len(), 2);
    let ended = get(&pair, address, &["-r", "--links", "t", text(&pair.here.at("some"))]).expect(4);
    let ended = ended.saying("t/out is a link that leads out of what is copied").saying("t/absolute is a link that");
    ended.saying("t/hidden is a link that leads to a hidden name");
    assert_eq!(contents(walk(&pair.here.at("some"))).into_keys().collect::<Vec<_>>(), ["", "f", "good"]);
    // A link that is named is followed from here, and is none of others' business there.
    pair.copy(address, &["-r", "--links", text(&tree.join("good")), "followed"]).expect(0);
    assert_eq!(pair.there.content("followed").as_deref(), Some(&b"f"[..]));
    get(&pair, address, &["-r", "--links", "t/good", text(&pair.here.at("x"))]).expect(4).saying("is a link there");
}

#[test]
fn a_link_that_exists_is_kept_or_replaced_and_a_folder_stays() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&[]);
    let tree = pair.here.at("t");
    fs::create_dir(&tree).expect("a folder");
    for name in ["file", "folder", "link"] {
        symlink("new", tree.join(name)).expect("a link");
    }
    let there = pair.there.at("t");
    fs::create_dir_all(there.join("folder")).expect("folders");
    fs::write(there.join("file"), "old").expect("a file");
    symlink("../../away", there.join("link")).expect("a link");
    let before = walk(&there);
    let copy = |more: &[&str]| pair.copy(address, &[&["-r", "--links", text(&tree), "t"], more].concat());
    copy(&[]).expect(4).saying("\"link\" exists here; --overwrite replaces it").saying("\"folder\" is a folder");
    assert_eq!(walk(&there), before);
    copy(&["--overwrite"]).expect(4).saying("\"folder\" is a folder");
    let after = contents(walk(&there));
    assert_eq!((&after["file"][..], &after["link"][..], &after["folder"][..]), (&b"new"[..], &b"new"[..], &b""[..]));
    assert!(there.join("folder").is_dir());
}

#[test]
fn links_are_no_errand_for_other_modes_and_are_rehearsed() {
    let pair = Pair::new();
    let tree = pair.here.at("t");
    linked_tree(&tree);
    Program::start(CLIENT, &["127.0.0.1:9", text(&tree), "t", "--links", "--mode", "lab"])
        .end()
        .expect(2)
        .saying("--links");
    let ended = pair.copy("127.0.0.1:9", &["-r", "--links", "--dry-run", "-v", text(&tree), "t"]).expect(0);
    ended.saying("would send t/sub/up -> ../f").saying("3 files and 4 folders and 5 links");
    get(&pair, "127.0.0.1:9", &["-p", "f", "-"]).expect(2).saying("standard output has neither");
}

#[test]
fn holes_are_holes_there_and_cost_nothing_on_the_way() {
    let pair = Pair::new();
    let (_server, address) = pair.server(&["--allow-get"]);
    let local = pair.here.at("sparse");
    let file = fs::File::create(&local).expect("a file");
    file.set_len(500_000_003).expect("our file");
    for at in [0, 123_456_789, 499_999_999] {
        file.write_all_at(b"data", at).expect("our file");
    }
    let used = |path: &Path| fs::metadata(path).expect("it is there").blocks() * 512;
    let digest = blake3::hash(&fs::read(&local).expect("our file"));
    let (_link, way) = Program::link(address, &["--fault", "loss=5%,delay=5ms", "--seed", "3"]);
    let ended = pair.copy(way, &[text(&local), "sparse", "--json"]).expect(0);
    let finished = ended.events().pop().expect("a last event");
    assert_eq!(
        (&finished["bytes"], &finished["blake3"]),
        (&500_000_003.into(), &digest.to_string().into()),
        "{finished}"
    );
    assert_eq!(fs::metadata(pair.there.at("sparse")).expect("it is there").len(), 500_000_003);
    // (Not every file system knows holes.)
    assert!(used(&local) > 100_000_000 || used(&pair.there.at("sparse")) < 8_000_000);
    get(&pair, address, &["sparse", text(&pair.here.at("back")), "--json"]).expect(0).saying(&digest.to_string());
}
