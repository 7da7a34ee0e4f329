//! Many clients at once through one lossy link.

use crate::harness::{Folder, Program, all_at_once, copy};

#[test]
fn a_hundred_clients_at_once_deliver_64_kib_each_at_5_percent_loss() {
    crowd(100, 64 * 1024, &[]);
}

#[test]
#[ignore = "takes 15 s and all of the machine, so that other tests beside it run out of time"]
fn a_hundred_clients_at_once_deliver_1_mib_each_at_5_percent_loss() {
    crowd(100, 1024 * 1024, &[]);
}

#[test]
fn a_class_of_plain_clients_delivers_in_both_spellings_at_5_percent_loss() {
    crowd(20, 8 * 1024, &["--mode", "lab"]);
    crowd(20, 64 * 1024, &["--spelling", "compact"]);
}

fn crowd(count: usize, size: usize, options: &[&str]) {
    let (here, there) = (Folder::new(), Folder::new());
    let (_server, server) = Program::server(there.path(), &[]);
    // Compact datagrams are larger than a path of 1500 bytes takes at once.
    let (_link, address) = Program::link(server, &["--loss", "5%", "--mtu", "off"]);
    all_at_once(0..count, |number| {
        let name = number.to_string();
        let (local, bytes) = here.file(&name, size);
        copy(address, &local, &name, options).expect(0);
        assert!(there.content(&name) == Some(bytes), "{name} differs");
    });
    assert_eq!(there.names().len(), count, "{:?}", there.leftovers());
}
