//! The registry and two clients around one clock: in, found, introduced, talking, known again after a restart, and out.

use homing::chat::client::{self, ChatClient, Event};
use homing::chat::registry::{self, Registry};
use homing::packet::chat::Hex;
use homing::session::{Machine, Via};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Everything that is there. Datagrams take no time.
struct World {
    registry: Registry,
    clients: [ChatClient; 2],
    now: Instant,
    events: [Vec<Event>; 2],
}

const REGISTRY: SocketAddr = address(9, 7070);
const CLIENTS: [SocketAddr; 2] = [address(1, 5000), address(2, 5000)];

const fn address(host: u8, port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, host)), port)
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
    fn new() -> Self {
        let now = Instant::now();
        let client = |index: u8, name: &str| {
            let (via, key) = (Via::default(), Hex([index; 16]));
            let name = name.parse().ok();
            let config = client::Config {
                via,
                registry: REGISTRY,
                name,
                number: None,
                key,
                reported: Vec::new(),
                first: 1_000_000,
            };
            ChatClient::new(config, now)
        };
        let clients = [client(1, "alice"), client(2, "bob")];
        Self {
            registry: Registry::new(registry::Config::new([7; 32], 1), now),
            clients,
            now,
            events: Default::default(),
        }
    }

    /// Everything that happens until then.
    fn passes(&mut self, seconds: u64) {
        let until = self.now + Duration::from_secs(seconds);
        loop {
            self.carry();
            let due =
                self.clients.iter().map(Machine::poll_timeout).chain([self.registry.poll_timeout()]).flatten().min();
            let Some(due) = due.filter(|due| *due <= until) else { break };
            self.now = due.max(self.now);
            self.registry.handle_timeout(self.now);
            self.clients.iter_mut().for_each(|client| client.handle_timeout(self.now));
        }
        self.now = until;
    }

    fn carry(&mut self) {
        let mut flying = VecDeque::new();
        loop {
            for (index, client) in self.clients.iter_mut().enumerate() {
                while let Some(event) = client.poll_event(self.now) {
                    self.events[index].push(event);
                }
                while let Some(sent) = client.poll_transmit(self.now) {
                    flying.push_back((CLIENTS[index], sent));
                }
            }
            while let Some(sent) = self.registry.poll_transmit(self.now) {
                flying.push_back((REGISTRY, sent));
            }
            let Some((from, sent)) = flying.pop_front() else { return };
            match CLIENTS.iter().position(|client| *client == sent.to) {
                Some(index) => self.clients[index].handle_datagram(sent.via, from, &sent.bytes, self.now),
                None => self.registry.handle_datagram(sent.via, from, &sent.bytes, self.now),
            }
        }
    }

    /// What this client was told since the last time.
    fn told(&mut self, index: usize) -> Vec<Event> {
        std::mem::take(&mut self.events[index])
    }
}

#[test]
fn two_clients_find_each_other_talk_outlive_their_registry_and_leave() {
    let mut world = World::new();
    world.passes(1);
    for (index, address) in CLIENTS.into_iter().enumerate() {
        let told = world.told(index);
        let [Event::Registered { number, seen, .. }] = &told[..] else { panic!("{told:?}") };
        assert_eq!((*number, *seen), (index as u64 + 1, address));
    }
    let now = world.now;
    world.clients[0].list(now).expect("registered");
    world.passes(1);
    let told = world.told(0);
    assert!(matches!(&told[..], [Event::Clients { total: 2, clients, .. }] if clients.len() == 2), "{told:?}");

    let now = world.now;
    world.clients[0].connect(&"bob".parse().expect("a name"), now).expect("registered");
    world.passes(2);
    let told = world.told(1);
    assert!(told.iter().any(|event| matches!(event, Event::Requested { .. })), "{told:?}");
    let now = world.now;
    world.clients[1].accept(None, now).expect("a request");
    world.passes(2);
    assert!(world.told(0).iter().any(|event| matches!(event, Event::Connected { .. })));

    // The registry is started anew: both are known again, under the same numbers, within the time of a heartbeat.
    world.registry = Registry::new(registry::Config::new([8; 32], 1_000_000_000), world.now);
    world.told(1);
    world.passes(30);
    for index in 0..2 {
        let told = world.told(index);
        assert!(
            told.iter().any(|event| matches!(event, Event::Registered { number, .. } if *number == index as u64 + 1)),
            "{told:?}"
        );
    }
    assert_eq!(world.registry.clients_count(), 2);

    let now = world.now;
    world.clients.iter_mut().for_each(|client| client.leave(now));
    world.passes(1);
    for index in 0..2 {
        let told = world.told(index);
        assert!(matches!(told.last(), Some(Event::Left { acknowledged: true })), "{told:?}");
    }
    assert_eq!(world.registry.clients_count(), 0);
    world.passes(60);
    assert_eq!(world.registry.remembered(), 0);
}
