//! What the file, the environment and the command line say, and who is heard.

use crate::harness::{CLIENT, Ended, Folder, Program, SERVER};
use serde_json::Value;
use std::fs;

/// A folder for keys, with this configuration file in it.
struct Home(Folder);

impl Home {
    fn new(config: &str) -> Self {
        let folder = Folder::new();
        fs::write(folder.at("config.toml"), config).expect("a file");
        Self(folder)
    }

    fn path(&self) -> String {
        self.0.path().to_str().expect("a plain path").to_owned()
    }

    /// Runs a program with these variables and words, and this folder.
    fn run(&self, program: &str, variables: &[&str], words: &[&str]) -> Ended {
        self.start(program, variables, words).end()
    }

    fn start(&self, program: &str, variables: &[&str], words: &[&str]) -> Program {
        Program::start("env", &[variables, &[program], words, &["--config-dir", &self.path()]].concat())
    }

    /// What `--show-config --json` says.
    fn shown(&self, variables: &[&str], words: &[&str]) -> Value {
        let ended = self.run(CLIENT, variables, &[words, &["--show-config", "--json"]].concat()).expect(0);
        serde_json::from_str(&ended.out.join("\n")).unwrap_or_else(|_| panic!("not JSON: {ended:#?}"))
    }
}

/// Variables, words, the time-out, where it comes from, and how that place ends.
type Case = (&'static [&'static str], &'static [&'static str], u32, &'static str, &'static str);

const LAYERS: &str = r#"timeout = 10
bind = "::1"

[client]
timeout = 20
sha256 = true

[host.nas]
address = "192.0.2.7"
timeout = 30
"#;

#[test]
fn the_command_line_counts_more_than_the_environment_and_that_more_than_the_file() {
    let home = Home::new(LAYERS);
    let cases: &[Case] = &[
        (&[], &[], 20, "file", " line 5 [client]"),
        (&[], &["nas"], 30, "file", " line 10 [host.nas]"),
        (&[], &["elsewhere:1"], 20, "file", " line 5 [client]"),
        (&["HOMING_TIMEOUT=40"], &["nas"], 40, "environment", "HOMING_TIMEOUT"),
        (&["HOMING_TIMEOUT="], &["nas"], 30, "file", " line 10 [host.nas]"),
        (&["HOMING_TIMEOUT=40"], &["nas", "--timeout", "50"], 50, "option", ""),
    ];
    for (variables, words, value, from, place) in cases {
        let shown = home.shown(variables, words);
        let setting = &shown["settings"]["timeout"];
        let found = (setting["value"].as_str(), setting["from"].as_str());
        assert_eq!(found, (Some(value.to_string().as_str()), Some(*from)), "{variables:?} {words:?}");
        assert!(setting["place"].as_str().unwrap_or_default().ends_with(place), "{words:?}: {setting}");
    }
    let top = Home::new("timeout = 10\n").shown(&[], &[]);
    assert_eq!(top["settings"]["timeout"]["value"], "10");
    let none = Home::new("").shown(&[], &[]);
    assert_eq!(none["settings"]["timeout"]["from"], "default");
    assert_eq!(none["settings"]["timeout"]["value"], Value::Null);
    assert!(none["settings"]["timeout"]["default"].as_str().is_some_and(|words| words.starts_with("30; ")));
    assert_eq!(none["settings"]["mode"]["value"], "auto");
}

#[test]
fn a_flag_of_the_file_is_turned_off_by_its_opposite_and_a_variable() {
    let home = Home::new(LAYERS);
    let sha256 = |variables: &[&str], words: &[&str]| {
        let shown = home.shown(variables, words);
        (shown["settings"]["sha256"]["value"].clone(), shown["settings"]["sha256"]["from"].clone())
    };
    assert_eq!(sha256(&[], &[]), (true.into(), "file".into()));
    assert_eq!(sha256(&[], &["--no-sha256"]), (false.into(), "option".into()));
    assert_eq!(sha256(&[], &["--no-sha256", "--sha256"]), (true.into(), "option".into()));
    assert_eq!(sha256(&["HOMING_SHA256=off"], &[]), (false.into(), "environment".into()));
    assert_eq!(sha256(&["HOMING_SHA256=0"], &["--sha256"]), (true.into(), "option".into()));
    let server = Home::new("[server]\nno-clobber = true\n");
    let shown = server.run(SERVER, &[], &["--clobber", "--show-config", "--json"]).expect(0);
    let shown: Value = serde_json::from_str(&shown.out.join("\n")).expect("JSON");
    assert_eq!(shown["settings"]["no-clobber"]["value"], false);
}

#[test]
fn the_table_says_every_setting_and_its_origin() {
    let home = Home::new(LAYERS);
    let shown = home.run(CLIENT, &["HOMING_MODE=windowed"], &["nas", "-q", "--show-config"]).expect(0);
    let row = |key: &str| {
        let line = shown.out.iter().find(|line| line.split_whitespace().next() == Some(key));
        line.unwrap_or_else(|| panic!("no {key}: {shown:#?}")).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let file = format!("{}/config.toml", home.path());
    assert_eq!(shown.out[0], format!("configuration file: {file}"));
    assert_eq!(shown.out[1], "nas is 192.0.2.7:12300");
    assert_eq!(row("setting"), "setting value from");
    assert_eq!(row("timeout"), format!("timeout 30 {file} line 10 [host.nas]"));
    assert_eq!(row("sha256"), format!("sha256 true {file} line 6 [client]"));
    assert_eq!(row("mode"), "mode windowed HOMING_MODE");
    assert_eq!(row("quiet"), "quiet true command line");
    assert_eq!(row("spelling"), "spelling spaced default");
    assert_eq!(row("trace"), "trace none default");
    assert!(row("config-dir").ends_with("command line"));
    let absent = Folder::new();
    let words = ["--show-config", "--config-dir", absent.path().to_str().expect("a plain path")];
    let shown = Program::start(CLIENT, &words).end().expect(0);
    assert!(shown.out[0].ends_with("(there is none)"), "{shown:#?}");
    assert!(absent.names().is_empty(), "looking at settings makes nothing");
}

#[test]
fn what_makes_no_sense_in_the_file_is_said_with_its_line_and_what_is_allowed() {
    let cases = [
        ("timeout = \n", "line 1: this is no TOML"),
        ("\ntimout = 3\n", "line 2: \"timout\" is no setting of the top; settings there are allow-get, "),
        (
            "[client]\nroot = \"x\"\n",
            "line 2: \"root\" is no setting of [client]; settings there are checksum, compress, congestion, ",
        ),
        (
            "[clinet]\nmode = \"lab\"\n",
            "line 1: [clinet] is no section; sections are [client], [server] and [host.NAME]",
        ),
        ("[host]\nmode = \"lab\"\n", "line 1: [host] is no section"),
        ("[host.nas.deep]\nmode = \"lab\"\n", "is no section"),
        ("[client]\nmode = \"fast\"\n", "line 2: mode: \"fast\" is none of: auto, lab, checked, windowed"),
        ("[client]\n\ntimeout = \"soon\"\n", "line 3: timeout: \"soon\": it must be a number of seconds"),
        ("timeout = true\n", "line 1: timeout: it takes a value (SECS), not true or false"),
        ("timeout = [1, 2]\n", "line 1: timeout: it has one value, not a list"),
        ("overwrite = \"yes\"\n", "line 1: overwrite: it is on or off; write true or false"),
        ("overwrite = 1\n", "line 1: overwrite: it is on or off"),
        ("timeout = 1979-05-27\n", "line 1: timeout is a datetime"),
        ("[server]\nbufsize = 1\n", "line 2: bufsize: \"1\": 1 is not in 64..="),
        ("[host.other]\naddress = \"a:http\"\n", "line 2: address \"a:http\" names no server; write HOST or HOST:PORT"),
        ("[host.other]\naddress = 7\nmode = \"slow\"\n", "line 3: mode: \"slow\" is none of"),
        ("[host.other]\nroot = \"x\"\n", "settings there are address, "),
        ("config-dir = \"/x\"\n", "line 1: config-dir says where this file is"),
        ("[client]\nquiet = true\nverbose = true\n", "exclude each other"),
        ("[client]\ncongestion = \"fixed:1x\"\n", "line 2: congestion: \"fixed:1x\": "),
    ];
    for (config, words) in cases {
        let home = Home::new(config);
        let ended = home.run(CLIENT, &[], &["127.0.0.1:1", "here", "there"]).expect(2).saying(words);
        assert!(ended.err.join("\n").contains(&home.path()), "{config:?}: {ended:#?}");
    }
}

#[test]
fn a_file_that_others_may_change_is_not_read() {
    let home = Home::new("");
    let path = home.0.at("config.toml");
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o666)).expect("our file");
    home.run(CLIENT, &[], &["127.0.0.1:1", "here", "there"]).expect(2).saying("chmod");
}

#[test]
fn a_variable_that_makes_no_sense_is_named() {
    let home = Home::new("");
    let cases = [
        ("HOMING_MODE=fast", "the variable HOMING_MODE: \"fast\" is none of: auto, lab, checked, windowed"),
        ("HOMING_OVERWRITE=perhaps", "the variable HOMING_OVERWRITE: \"perhaps\" is neither true nor false"),
    ];
    for (variable, words) in cases {
        home.run(CLIENT, &[variable], &["127.0.0.1:1", "here", "there"]).expect(2).saying(words);
    }
}

#[test]
fn what_counts_less_gives_way_to_what_excludes_it() {
    let home = Home::new("[client]\nquiet = true\n\n[host.nas]\nverbose = true\n");
    let on = |variables: &[&str], words: &[&str]| {
        let shown = home.shown(variables, words);
        (shown["settings"]["quiet"]["value"] == true, shown["settings"]["verbose"]["value"] == true)
    };
    assert_eq!(on(&[], &[]), (true, false));
    assert_eq!(on(&[], &["nas"]), (false, true));
    assert_eq!(on(&[], &["nas", "-q"]), (true, false));
    assert_eq!(on(&["HOMING_VERBOSE=1"], &[]), (false, true));
    assert_eq!(on(&["HOMING_VERBOSE=1"], &["--quiet"]), (true, false));
}

#[test]
fn a_name_of_the_file_is_a_server_with_its_settings() {
    let (here, there) = (Folder::new(), Folder::new());
    let (_server, address) = Program::server(there.path(), &[]);
    let home = Home::new(&format!("[host.nas]\naddress = \"{address}\"\nmode = \"windowed\"\noverwrite = true\n"));
    let (local, bytes) = here.file("f", 5000);
    let local = local.to_str().expect("a plain path");
    for _ in 0..2 {
        home.run(CLIENT, &[], &["nas", local, "g"]).expect(0);
    }
    assert_eq!(there.content("g"), Some(bytes));
    home.run(CLIENT, &[], &["nas", local, "g", "--no-overwrite"]).expect(4).saying("--overwrite");
    home.run(CLIENT, &["HOMING_OVERWRITE=false"], &["nas", local, "g"]).expect(4);
    // What the file says of the windowed mode is no reason to refuse another one; what is typed is.
    home.run(CLIENT, &[], &["nas", local, "g", "--mode", "checked"]).expect(0);
    home.run(CLIENT, &[], &["nas", local, "g", "--mode", "checked", "--sha256"]).expect(2).saying("--sha256 needs");
    home.run(CLIENT, &[], &["nsa", local, "g"]).expect(2).saying("[host.NAME]");
}

#[test]
fn a_server_takes_its_port_and_folder_from_the_file() {
    let there = Folder::new();
    let root = there.path().to_str().expect("a plain path");
    let home = Home::new(&format!("json = true\n\n[server]\nport = 0\nbind = \"127.0.0.1\"\nroot = \"{root}\"\n"));
    let mut server = home.start(SERVER, &[], &[]);
    assert!(server.listening().ip().is_loopback());
    home.run(SERVER, &["HOMING_PORT=99999"], &[]).expect(2).saying("HOMING_PORT");
}
