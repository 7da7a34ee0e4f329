//! A page of the list of clients, as much as fits one datagram.

use crate::packet::chat::{Answer, Listed};

/// The first ones of `clients`, which come by rising number, out of `total`.
pub(super) fn page(total: u64, clients: impl Iterator<Item = Listed>) -> Answer {
    let mut length = FRAME;
    let mut listed: Vec<Listed> = Vec::new();
    let mut next = None;
    for client in clients {
        length += client.to_string().len() + 1;
        if length > PAGE_MAX {
            next = listed.last().map(|last| last.number);
            break;
        }
        listed.push(client);
    }
    Answer::List { total, next, clients: listed }
}

/// What travels everywhere in one piece, headers aside: as QUIC has it (RFC 9000 section 14).
pub(super) const PAGE_MAX: usize = 1200;

/// What stands around the clients at most: three numbers of 20 digits and the words between them.
const FRAME: usize =
    "18446744073709551615:Client List total=18446744073709551615 next=18446744073709551615 clients=".len();

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::chat::NAME_BYTES;

    #[test]
    fn pages_follow_each_other_and_fit_a_datagram() {
        let name = |number: u64| "é".repeat(NAME_BYTES / 2 - (number % 7) as usize).parse().ok();
        let all: Vec<Listed> =
            (0..1000).map(|index| Listed { number: u64::MAX - 1000 + index, name: name(index) }).collect();
        let (mut after, mut seen, mut pages) = (0, Vec::new(), 0);
        loop {
            let answer = page(1000, all.iter().filter(|client| client.number > after).cloned());
            assert!(answer.to_string().len() + 21 <= PAGE_MAX);
            let Answer::List { total: 1000, next, clients } = answer else { panic!("{answer}") };
            pages += 1;
            seen.extend(clients);
            match next {
                Some(next) => after = next,
                None => break,
            }
        }
        assert_eq!(seen, all);
        assert!(pages <= 1000 / 12 + 1, "{pages} pages");
        assert_eq!(page(0, std::iter::empty()).to_string(), "Client List total=0");
    }
}
