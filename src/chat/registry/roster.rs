//! All entries, and every way to find one: by address, number, name, key, and by who is due next.

use super::crowd::Crowd;
use super::entry::{Entry, Member, Role};
use crate::packet::chat::{Key, Listed, Who};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Instant;

/// The entries. Whatever changes one that is in it calls [`Roster::schedule`] afterwards.
#[derive(Default)]
pub(super) struct Roster {
    entries: BTreeMap<SocketAddr, Scheduled>,
    numbers: BTreeMap<u64, SocketAddr>,
    names: BTreeMap<String, SocketAddr>,
    keys: BTreeMap<Key, SocketAddr>,
    /// Those who are here, or were a moment ago.
    inside: Crowd,
    refused: Crowd,
    agenda: BTreeSet<(Instant, SocketAddr)>,
}

/// An entry, and under which moment it stands in the agenda.
struct Scheduled {
    entry: Box<Entry>,
    due: Instant,
}

impl Roster {
    pub(super) fn get(&self, address: SocketAddr) -> Option<&Entry> {
        self.entries.get(&address).map(|scheduled| &*scheduled.entry)
    }

    pub(super) fn get_mut(&mut self, address: SocketAddr) -> Option<&mut Entry> {
        self.entries.get_mut(&address).map(|scheduled| &mut *scheduled.entry)
    }

    /// The client at this address.
    pub(super) fn member(&self, address: SocketAddr) -> Option<&Member> {
        self.get(address).and_then(Entry::member)
    }

    /// How many addresses are kept, of whatever role.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Those who are here, or were a moment ago.
    pub(super) fn inside(&self) -> &Crowd {
        &self.inside
    }

    /// Those who wait to hear that they are not let in.
    pub(super) fn refused(&self) -> &Crowd {
        &self.refused
    }

    /// How many clients are here.
    pub(super) fn members(&self) -> usize {
        self.numbers.len()
    }

    /// Those with higher numbers than this, by rising number.
    pub(super) fn members_after(&self, number: u64) -> impl Iterator<Item = (SocketAddr, &Member)> {
        let numbers = number.checked_add(1).map(|from| self.numbers.range(from..));
        numbers.into_iter().flatten().filter_map(|(_, address)| Some((*address, self.member(*address)?)))
    }

    /// The same as lines of a list.
    pub(super) fn listed_after(&self, number: u64) -> impl Iterator<Item = Listed> {
        self.members_after(number).map(|(_, member)| Listed { number: member.number, name: member.name.clone() })
    }

    pub(super) fn find(&self, who: &Who) -> Option<SocketAddr> {
        match who {
            Who::Number(number) => self.numbers.get(number).copied(),
            Who::Name(name) => self.names.get(&name.folded()).copied(),
        }
    }

    pub(super) fn of_key(&self, key: Key) -> Option<SocketAddr> {
        self.keys.get(&key).copied()
    }

    pub(super) fn is_taken(&self, number: u64) -> bool {
        self.numbers.contains_key(&number)
    }

    /// Puts an entry at an address that has none.
    pub(super) fn seat(&mut self, address: SocketAddr, entry: Entry) {
        if let Some(member) = entry.member() {
            self.numbers.insert(member.number, address);
            self.keys.insert(member.key, address);
            if let Some(name) = &member.name {
                self.names.insert(name.folded(), address);
            }
        }
        self.crowd_of(&entry.role).add(address.ip());
        let due = entry.due();
        self.agenda.insert((due, address));
        self.entries.insert(address, Scheduled { entry: Box::new(entry), due });
    }

    /// Takes the entry at this address out; gives the client that it was.
    pub(super) fn remove(&mut self, address: SocketAddr) -> Option<Member> {
        let Scheduled { entry, due } = self.entries.remove(&address)?;
        self.agenda.remove(&(due, address));
        self.crowd_of(&entry.role).remove(address.ip());
        let Role::Member(member) = entry.role else { return None };
        self.strike(&member);
        Some(member)
    }

    /// The client at this address goes; its entry stays for a while, as `leave` makes it.
    pub(super) fn dismiss(&mut self, address: SocketAddr, leave: impl FnOnce(&mut Entry)) -> Option<Member> {
        let member = self.member(address)?.clone();
        self.strike(&member);
        leave(self.get_mut(address)?);
        Some(member)
    }

    /// Who is due first.
    pub(super) fn next_due(&self) -> Option<(Instant, SocketAddr)> {
        self.agenda.first().copied()
    }

    /// The entry at this address may be due at another moment than before.
    pub(super) fn schedule(&mut self, address: SocketAddr) {
        if let Some(scheduled) = self.entries.get_mut(&address) {
            let due = scheduled.entry.due();
            if due != scheduled.due {
                self.agenda.remove(&(scheduled.due, address));
                self.agenda.insert((due, address));
                scheduled.due = due;
            }
        }
    }

    fn crowd_of(&mut self, role: &Role) -> &mut Crowd {
        match role {
            Role::Member(_) | Role::Gone(_) => &mut self.inside,
            Role::Refused => &mut self.refused,
        }
    }

    fn strike(&mut self, member: &Member) {
        self.numbers.remove(&member.number);
        self.keys.remove(&member.key);
        if let Some(name) = &member.name {
            self.names.remove(&name.folded());
        }
    }
}
