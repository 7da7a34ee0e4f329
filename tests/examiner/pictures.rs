//! Exchanges as pictures: of our client, our servers and of failed cases.

use super::has_python;
use super::tool::{
    BAD_SERVER, CLIENT, Ended, Running, SERVER, folder_of_its_own, lab_check, peer, text, wait_until, write,
};
use std::fs;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// A server with a folder of its own, and a file to send to it: three chunks.
pub struct Scene {
    pub folder: TempDir,
    pub server: Running,
    address: String,
    file: String,
}

impl Scene {
    pub fn of(program: &str, options: &[&str]) -> Self {
        let folder = folder_of_its_own();
        fs::create_dir(folder.path().join("inbox")).expect("a folder");
        let file = write(&folder, "local", vec![b'x'; 3000]).to_string_lossy().into_owned();
        let fixed = ["0", "--bind", "127.0.0.1", "--root", "inbox"];
        let server = Running::start(program, &[&fixed[..], options].concat(), folder.path());
        wait_until(Duration::from_secs(20), "the server listens", || server.out().contains('\n'));
        let line = server.out();
        // As a sentence, or as JSON.
        let at = line.find("127.0.0.1:").expect("an address");
        let address = line[at..].chars().take_while(|one| one.is_ascii_digit() || ".:".contains(*one)).collect();
        Self { folder, server, address, file }
    }

    /// Copies the file under this name.
    pub fn copy(&self, name: &str, options: &[&str]) -> Ended {
        let fixed = [&self.address, &self.file, name, "--timeout", "10"];
        Running::start(CLIENT, &[&fixed[..], options].concat(), self.folder.path()).end()
    }

    pub fn text(&self, name: &str) -> String {
        text(&self.folder.path().join(name))
    }

    /// Everything that the server has saved.
    fn saved(&self) -> usize {
        fs::read_dir(self.folder.path().join("inbox")).expect("the folder").count()
    }
}

/// What every picture of the copy of this file must have; where something was lost there is more.
#[track_caller]
pub fn shows_the_copy(picture: &str, name: &str) {
    for message in
        [&format!("s | 0 | {name} | 3000"), "a | 1 | 1400", "d | 1 | <1392 bytes>", "a | 2", "d | 3 | ", "a | 4"]
    {
        let escaped = message.replace('<', "&lt;").replace('>', "&gt;");
        assert!(picture.contains(message) || picture.contains(&escaped), "no {message:?} in {picture}");
    }
}

/// Tags that open are closed, in the right order, and nothing leads out.
#[track_caller]
pub fn is_well_formed(svg: &str) {
    assert!(svg.trim_start().starts_with("<svg ") && svg.contains("xmlns=\"http://www.w3.org/2000/svg\""), "{svg}");
    let mut open = Vec::new();
    for tag in svg.split('<').skip(1) {
        let (tag, behind) = tag.split_once('>').unwrap_or_else(|| panic!("<{tag} does not end"));
        assert!(!behind.contains('>') && tag.matches('"').count() % 2 == 0, "<{tag}>{behind}");
        let name = tag.trim_start_matches('/').split([' ', '/', '\n']).next().unwrap_or_default();
        match (tag.starts_with('/'), tag.ends_with('/')) {
            (true, _) => assert_eq!(open.pop(), Some(name), "{svg}"),
            (false, true) => {}
            (false, false) => open.push(name),
        }
    }
    assert!(open.is_empty() && !svg.contains("<script"), "{open:?} in {svg}");
}

#[test]
fn the_client_draws_and_prints_what_it_saw() {
    let scene = Scene::of(SERVER, &[]);
    let ended = scene.copy("f", &["--mode", "lab", "--diagram", "f.svg", "--ladder"]).expect(0);
    shows_the_copy(&ended.out, "f");
    assert!(ended.out.contains("as seen by the client"), "{ended:#?}");
    is_well_formed(&scene.text("f.svg"));
    shows_the_copy(&scene.text("f.svg"), "f");
}

#[test]
fn the_server_draws_every_exchange_into_a_folder() {
    let scene = Scene::of(SERVER, &["--diagram", "pictures/of/today", "--ladder", "--exit-after", "2"]);
    scene.copy("f", &["--mode", "lab"]).expect(0);
    scene.copy("g<&>.txt", &["--mode", "lab"]).expect(0);
    let Scene { folder, server, .. } = scene;
    let ended = server.end().expect(0);
    shows_the_copy(&ended.out, "f");
    let picture = |name: &str| text(&folder.path().join("pictures/of/today").join(name));
    for (file, name) in [("001-f.svg", "f"), ("002-g___.txt.svg", "g&lt;&amp;&gt;.txt")] {
        is_well_formed(&picture(file));
        shows_the_copy(&picture(file), name);
    }
}

#[test]
fn the_bad_server_draws_the_fate_of_every_datagram() {
    let options = ["--misbehave", "lose-every-other-data", "--diagram", "f.svg", "--exit-after", "2"];
    let scene = Scene::of(BAD_SERVER, &options);
    scene.copy("f", &["--mode", "lab"]).expect(0);
    scene.copy("g", &["--mode", "lab"]).expect(0);
    let Scene { folder, server, .. } = scene;
    server.end().expect(0);
    for (file, name) in [("f.svg", "f"), ("f-2.svg", "g")] {
        let picture = text(&folder.path().join(file));
        is_well_formed(&picture);
        shows_the_copy(&picture, name);
        assert!(picture.contains("lost") && picture.contains("again (2nd)"), "{picture}");
    }
}

#[test]
fn failed_cases_are_printed_as_ladders() {
    if !has_python() {
        return;
    }
    let path = peer("client.py");
    let command = ["--", "python3", &path, "{addr}", "{local}", "{remote}", "--fault", "start-ack-lost"];
    let cases = ["--only", "start-ack-lost", "--only", "plain-copy"];
    let ended = lab_check(&[&["client", "--ladder"], &cases[..], &command].concat()).expect(1);
    let (table, ladder) = ended.out.split_once("1 passed, 1 failed\n").expect("a summary");
    assert!(table.contains(" pass  plain-copy"), "{table}");
    for words in
        ["\nstart-ack-lost: it sent `d | 1 |", "s | 0 | start-ack-lost.txt | 3556", "a | 1 | 1024", "lost", "✗"]
    {
        assert!(ladder.contains(words), "no {words:?} in {ladder}");
    }
    assert!(!ladder.contains("plain-copy.txt"), "only what failed is drawn: {ladder}");
}

#[test]
fn a_picture_that_cannot_be_written_ends_it_before_anything_is_copied() {
    let scene = Scene::of(SERVER, &[]);
    for option in ["--diagram", "--trace"] {
        scene.copy("f", &[option, "no/such/folder/f"]).expect(1).complaining("cannot write no/such/folder/f");
        assert_eq!(scene.saved(), 0);
        let bad = ["0", "--bind", "127.0.0.1", option, "local/f"];
        for program in [SERVER, BAD_SERVER] {
            let ended = Running::start(program, &bad, scene.folder.path()).end();
            assert_eq!(ended.expect(1).complaining("cannot write local/f").out, "", "{program} {option} listens");
        }
    }
    // A ladder between lines of JSON could not be read by anybody.
    scene.copy("f", &["--ladder", "--json"]).expect(2).complaining("cannot be used with");
    assert!(Path::new(&scene.file).exists() && scene.saved() == 0);
}
