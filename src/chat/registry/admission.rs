//! Who is let in, and what he gets: a number, a name, a place.

use super::entry::Member;
use super::event::Config;
use super::numbers::Numbers;
use super::roster::Roster;
use crate::packet::chat::{Join, Refusal, Who};
use crate::session::network;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// What somebody gets who comes in.
pub(super) struct Place {
    pub(super) member: Member,
    /// Where the client with this key was until now.
    pub(super) before: Option<SocketAddr>,
    /// It has a number that it had before.
    pub(super) is_return: bool,
}

/// What becomes of a join from `from`, which is proved to live there. The client that has this key already is the same one: it keeps
/// its number, and its name unless it asks for another, wherever it is now.
pub(super) fn judge(
    config: &Config,
    roster: &Roster,
    numbers: &mut Numbers,
    from: SocketAddr,
    join: Join,
    now: Instant,
) -> Result<Place, Refusal> {
    let before = roster.of_key(join.key);
    let namesake = join.name.clone().and_then(|name| roster.find(&Who::Name(name)));
    if namesake.is_some() && namesake != before {
        return Err(Refusal::NameTaken);
    }
    make_sure_of_room(config, roster, from.ip(), before.map(|before| before.ip()))?;
    let Join { key, number, name, reported, .. } = join;
    if let Some(own) = before.and_then(|before| roster.member(before)).cloned() {
        let name = name.or(own.name);
        return Ok(Place { member: Member { name, reported, ..own }, before, is_return: true });
    }
    let wanted = number.filter(|wanted| !roster.is_taken(*wanted) && numbers.is_open(*wanted, key, now));
    let is_return = wanted.is_some_and(|wanted| numbers.was_of(wanted, key));
    let number = match wanted {
        Some(wanted) => wanted,
        None => numbers.fresh(|number| roster.is_taken(number)).ok_or(Refusal::Full)?,
    };
    Ok(Place { member: Member { reported, ..Member::new(number, name, key, now) }, before, is_return })
}

/// Whether one more fits, in all and from this address. Who was here before makes room for itself.
fn make_sure_of_room(config: &Config, roster: &Roster, from: IpAddr, before: Option<IpAddr>) -> Result<(), Refusal> {
    if before.is_none() && roster.inside().total() >= config.capacity {
        return Err(Refusal::Full);
    }
    let was_there = before.is_some_and(|before| network(before) == network(from));
    if !was_there && roster.inside().around(from) >= config.per_address {
        return Err(Refusal::TooMany);
    }
    Ok(())
}

/// Whether there is a place for one more who waits to hear that there is no place.
pub(super) fn may_be_told(roster: &Roster, from: IpAddr) -> bool {
    roster.refused().total() < REFUSED_MAX && roster.refused().around(from) < REFUSED_PER_ADDRESS
}

/// Those who are being refused, beyond all clients that fit: in all, and from one address.
const REFUSED_MAX: usize = 1024;
const REFUSED_PER_ADDRESS: usize = 16;
