//! `[host.NAME]`: a server that goes by a short name, with settings of its own.

use crate::app::copy::check_target;
use crate::io::config_file::{ConfigFile, Table, Value};
use std::net::Ipv6Addr;

/// A server that has a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host {
    /// As the section has it.
    pub(super) name: String,
    /// `HOST:PORT`.
    pub(super) address: String,
}

impl Host {
    /// The section of the server that was typed: `NAME`, or `NAME:PORT` to speak to another port of it.
    ///
    /// # Errors
    /// When the section's address is none.
    pub(super) fn find(file: &ConfigFile, target: &str) -> Result<Option<Self>, String> {
        let with_port = split_port(target).map(|(host, port)| (host.trim_matches(['[', ']']), Some(port)));
        for (name, port) in [Some((target, None)), with_port].into_iter().flatten() {
            if let Some(table) = table(file, name) {
                let address = table.entries.iter().find_map(|entry| match &entry.value {
                    Value::Text(text) if entry.key == ADDRESS => Some(text.as_str()),
                    _ => None,
                });
                let address = complete(address.unwrap_or(name), port)?;
                return Ok(Some(Self { name: table.name.last().cloned().unwrap_or_default(), address }));
            }
        }
        Ok(None)
    }
}

/// The section of this host; names of hosts do not know capitals.
pub(super) fn table<'a>(file: &'a ConfigFile, name: &str) -> Option<&'a Table> {
    file.tables
        .iter()
        .find(|table| is_host(table) && table.name.last().is_some_and(|own| own.eq_ignore_ascii_case(name)))
}

pub(super) fn is_host(table: &Table) -> bool {
    matches!(table.name.as_slice(), [section, _] if section == SECTION)
}

/// Whether a section's `address` can name a server.
pub(super) fn judge_address(value: &Value) -> Result<(), String> {
    match value {
        Value::Text(text) => complete(text, None).map(drop),
        _ => Err(format!("{ADDRESS} is a text, as in {ADDRESS} = \"192.0.2.7:12300\"")),
    }
}

/// `HOST:PORT` of an address that may lack its port; one that was typed counts more than the one in the file.
fn complete(address: &str, typed: Option<u16>) -> Result<String, String> {
    let (host, own) = match split_port(address) {
        Some((host, port)) => (host.to_owned(), Some(port)),
        None if address.parse::<Ipv6Addr>().is_ok() => (format!("[{address}]"), None),
        None => (address.to_owned(), None),
    };
    let full = format!("{host}:{}", typed.or(own).unwrap_or(PORT));
    let is_whole = host.starts_with('[') || !host.contains(':');
    match check_target(&full) {
        Ok(()) if is_whole => Ok(full),
        _ => Err(format!(
            "{ADDRESS} {address:?} names no server; write HOST or HOST:PORT, as in 192.0.2.7:12300 or [::1]:12300"
        )),
    }
}

fn split_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':').filter(|_| text.parse::<Ipv6Addr>().is_err())?;
    Some((host, port.parse().ok().filter(|_| !host.is_empty())?))
}

/// Where hosts stand.
pub(super) const SECTION: &str = "host";

/// Where a host is.
pub(super) const ADDRESS: &str = "address";

/// The port in the lab's hand-out.
const PORT: u16 = 12_300;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::config_file::Entry;

    #[test]
    fn a_host_goes_by_its_name_with_or_without_a_port() {
        let address = |text: &str| vec![Entry { key: ADDRESS.into(), value: Value::Text(text.into()), line: 2 }];
        let section = |name: &str, entries| Table { name: vec![SECTION.into(), name.into()], line: 1, entries };
        let tables = vec![
            section("nas", address("192.0.2.7:4000")),
            section("Lab.example", vec![]),
            section("six", address("::1")),
            section("2001:db8::7", vec![]),
        ];
        let file = ConfigFile { path: "config.toml".into(), exists: true, tables };
        let cases = [
            ("nas", Some("192.0.2.7:4000")),
            ("NAS", Some("192.0.2.7:4000")),
            ("nas:5", Some("192.0.2.7:5")),
            ("lab.example", Some("lab.example:12300")),
            ("lab.example:7", Some("lab.example:7")),
            ("six", Some("[::1]:12300")),
            ("six:9", Some("[::1]:9")),
            ("2001:db8::7", Some("[2001:db8::7]:12300")),
            ("[2001:db8::7]:9", Some("[2001:db8::7]:9")),
            ("192.0.2.7:4000", None),
            ("elsewhere", None),
            ("nas:http", None),
        ];
        for (typed, expected) in cases {
            let host = Host::find(&file, typed).expect("good addresses");
            assert_eq!(host.as_ref().map(|host| host.address.as_str()), expected, "{typed}");
        }
    }

    #[test]
    fn an_address_that_names_no_server_is_refused() {
        for good in ["a", "a:1", "[::1]", "[::1]:1", "::1", "192.0.2.7"] {
            assert_eq!(judge_address(&Value::Text(good.into())), Ok(()), "{good}");
        }
        for bad in ["", ":1", "a:0", "a:http", "a:99999", "1::2::3"] {
            let problem = judge_address(&Value::Text(bad.into())).expect_err(bad);
            assert!(problem.contains("write HOST or HOST:PORT"), "{bad}: {problem}");
        }
        assert!(judge_address(&Value::Flag(true)).is_err());
    }
}
