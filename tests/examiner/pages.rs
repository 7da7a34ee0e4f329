//! The report of one program: self-contained, with pictures of what failed, and with nothing in it that the program could run.

use super::has_python;
use super::tool::{SERVER, folder_of_its_own, lab_check, peer, text, write};

/// Says hostile things in its log, in its answers and at its end.
const HOSTILE: &str = r#"
import socket, sys
print("<script>alert(1)</script> \x1b[31mred\x07 \x00 & \"quoted\" </pre><img src=x>", file=sys.stderr, flush=True)
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", int(sys.argv[1])))
while True:
    message, client = server.recvfrom(65535)
    if not message.startswith(b"s"):
        sys.exit("\x1b[2J<img src=http://evil.example/x onerror=alert(1)>\x9b")
    server.sendto(b"a | <script src=//evil.example>\x1b[2J\x00</script>", client)
    server.sendto(b"a | 1 | 1024", client)
"#;

#[test]
fn what_a_hostile_program_says_is_harmless_on_page_and_terminal() {
    if !has_python() {
        return;
    }
    let folder = folder_of_its_own();
    let script = write(&folder, "hostile.py", HOSTILE).to_string_lossy().into_owned();
    let page = folder.path().join("page.html").to_string_lossy().into_owned();
    let options = ["server", "--only", "answers-once", "--only", "file-one-byte", "--ladder", "--report", &page];
    let ended = lab_check(&[&options[..], &["--", "python3", &script, "{port}"]].concat()).expect(1);
    let printable = |text: &str| text.chars().all(|one| one == '\n' || !one.is_control());
    assert!(printable(&ended.out) && printable(&ended.err), "{ended:?}");
    assert!(ended.out.contains("a | <script src=//evil.example>\\x1b[2J\\x00</script>"), "{ended:#?}");
    let page = self_contained(&text(page.as_ref()));
    assert!(printable(&page), "{page:?}");
    for words in
        ["&lt;script&gt;alert(1)&lt;/script&gt;", "&amp; &quot;quoted&quot; &lt;/pre&gt;", "onerror=alert(1)&gt;"]
    {
        assert!(page.contains(words), "no {words:?} in {page}");
    }
    assert!(page.contains("a | &lt;script src=//evil.example&gt;"), "the answer is in the picture: {page}");
}

#[test]
fn every_failed_case_has_its_picture_and_the_others_their_line() {
    if !has_python() {
        return;
    }
    let folder = folder_of_its_own();
    let page = folder.path().join("page.html").to_string_lossy().into_owned();
    let path = peer("server.py");
    // With this fault these two fail, the third does not, and the last does not apply.
    let cases = ["data-repeated", "ten-clients", "file-one-byte", "idle-forgotten"];
    let only: Vec<&str> = cases.iter().flat_map(|case| ["--only", case]).collect();
    let command = ["--", "python3", &path, "{port}", "--fault", "data-repeated"];
    let ended = lab_check(&[&["server", "--report", &page], &only[..], &command].concat()).expect(1);
    assert_eq!(ended.out.lines().last(), Some("2 passed, 1 failed"));
    let page = self_contained(&text(page.as_ref()));
    assert!(page.contains("<strong>2 passed, 1 failed</strong>, 1 not applicable") && page.contains(&path), "{page}");
    let sections: Vec<&str> = page.split("<details class=\"case ").skip(1).collect();
    assert_eq!(sections.len(), cases.len(), "{page}");
    for section in sections {
        let failed = section.starts_with("fail");
        assert_eq!(section.contains("<svg"), failed, "{section}");
        assert_eq!(section.contains(" open>"), failed, "{section}");
    }
    assert!(
        page.contains("after <code>d | 2</code> came twice") && page.contains("its acknowledgement is lost"),
        "{page}"
    );
}

#[test]
fn a_page_that_cannot_be_written_is_an_error_that_names_it() {
    let folder = folder_of_its_own();
    let page = folder.path().join("no/such/folder/page.html").to_string_lossy().into_owned();
    let options = ["server", "--only", "file-one-byte", "--report", &page];
    let ended = lab_check(&[&options[..], &["--", SERVER, "{port}"]].concat()).expect(2).complaining(&page);
    assert_eq!(ended.out, "", "and nothing is examined for nothing");
}

/// The page, if it is one page that needs nobody else and runs nothing.
#[track_caller]
pub fn self_contained(page: &str) -> String {
    assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"), "{page}");
    // The name of a picture's language is an address only in looks.
    let rest = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "").to_lowercase();
    for tag in rest.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap_or_default();
        let name = tag.split(|one: char| !one.is_ascii_alphanumeric()).next().unwrap_or_default();
        assert!(!["script", "img", "link", "iframe", "object", "embed", "base"].contains(&name), "<{tag}>");
        assert!(!tag.contains("http:") && !tag.contains("https:"), "<{tag}>");
        // Between the quotes stand values, before them names.
        assert!(tag.split('"').step_by(2).all(|names| !names.contains(" on")), "<{tag}>");
        let leads_out = ["src=", "href="].iter().any(|key| tag.contains(key) && !tag.contains(&format!("{key}\"#")));
        assert!(!leads_out, "<{tag}>");
    }
    assert!(!rest.contains("@import") && !rest.contains("url("), "{page}");
    page.to_string()
}
