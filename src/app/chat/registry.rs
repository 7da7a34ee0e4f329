//! The registry as a program: who comes and goes is told, and who is here stays in sight.

use crate::chat::registry::{Client, Config, Departure, Event, Registry};
use crate::io::clock;
use crate::io::driver::{self, Application};
use crate::io::events::chat::{ChatNote, RegistryNote, Row, Table, Tables};
use crate::io::events::{Note, Report};
use crate::io::signals::Interrupt;
use crate::io::udp::Wire;
use std::io;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// Keeps the registry on the wire's socket 0 until a signal, or the end of `interrupt`'s owner, ends it; gives the exit code.
///
/// # Errors
/// When the socket fails, or nobody reads the report any more.
pub fn serve(wire: &mut Wire, config: Config, report: &mut dyn Report, interrupt: Interrupt) -> io::Result<u8> {
    let address = wire.local_address(0)?;
    let purpose = "clients join here and learn where the others are".to_owned();
    report.note(&Note::Listening { address, purpose })?;
    let mut desk = Desk { report, interrupt, is_changed: true, drawn: None };
    driver::run(wire, &mut Registry::new(config, clock::now()), &mut desk)
}

/// A registry's limits as given, its secret, and where its numbers begin.
///
/// # Errors
/// When the system has no random bits.
pub fn config(capacity: usize, per_address: usize) -> io::Result<Config> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(Config { capacity, per_address, ..Config::new(secret, clock::microseconds_since_1970()) })
}

struct Desk<'a> {
    report: &'a mut dyn Report,
    interrupt: Interrupt,
    /// Somebody came or went since the table was drawn.
    is_changed: bool,
    drawn: Option<Instant>,
}

impl Application<Registry> for Desk<'_> {
    type Outcome = u8;

    fn turn(&mut self, registry: &mut Registry, _wire: &mut Wire, now: Instant) -> io::Result<ControlFlow<u8, bool>> {
        while let Some(event) = registry.poll_event() {
            self.on_event(event, registry.clients_count(), now)?;
        }
        if let Some(code) = self.interrupt.exit_code() {
            let counts = registry.counts();
            self.tell(RegistryNote::Served {
                joined: counts.joined,
                left: counts.left,
                refused: counts.refused,
                answered: counts.answered,
                ignored: counts.ignored,
            })?;
            return Ok(ControlFlow::Break(code));
        }
        if self.wants_table(now) {
            self.is_changed = false;
            self.drawn = Some(now);
            self.tell(RegistryNote::Table(table(registry, now)))?;
        }
        Ok(ControlFlow::Continue(false))
    }

    fn wakes_at(&self) -> Option<Instant> {
        self.drawn.filter(|_| self.report.tables() == Tables::Live).map(|drawn| drawn + self.pause())
    }
}

impl Desk<'_> {
    fn on_event(&mut self, event: Event, clients: usize, now: Instant) -> io::Result<()> {
        self.is_changed |= matches!(event, Event::Joined { .. } | Event::Left { .. });
        self.tell(match event {
            Event::Joined { client, is_return } => {
                RegistryNote::Joined { client: row(client, now), returned: is_return, clients }
            }
            Event::Left { client, how } => {
                let how = match how {
                    Departure::Left => "left",
                    Departure::Expired => "expired",
                    Departure::Replaced => "replaced",
                };
                RegistryNote::Left { client: row(client, now), how, clients }
            }
            Event::LookedUp { by, who, found } => RegistryNote::LookedUp { by, who: who.to_string(), found },
            Event::Introduced { by, to } => RegistryNote::Introduced { by, to },
            Event::Refused { peer, name, refusal, untold } => {
                let name = name.map(|name| name.to_string());
                RegistryNote::JoinRefused { peer, name, reason: refusal.word(), untold }
            }
            Event::Ignored { peer, reason, untold } => {
                RegistryNote::Ignored { peer, reason: reason.to_string(), untold }
            }
        })
    }

    fn wants_table(&self, now: Instant) -> bool {
        match self.report.tables() {
            Tables::None => false,
            Tables::OnChange => self.is_changed,
            Tables::Live => self.drawn.is_none_or(|drawn| now >= drawn + self.pause()),
        }
    }

    /// How long a table is left as it is.
    fn pause(&self) -> Duration {
        if self.is_changed { REDRAW } else { REFRESH }
    }

    fn tell(&mut self, note: RegistryNote) -> io::Result<()> {
        self.report.note(&Note::Chatting(Box::new(ChatNote::Registry(note))))
    }
}

fn table(registry: &Registry, now: Instant) -> Table {
    let rows: Vec<Row> = registry.clients().take(ROWS_MAX).map(|client| row(client, now)).collect();
    Table { more: registry.clients_count() - rows.len(), rows }
}

fn row(client: Client, now: Instant) -> Row {
    let Client { number, name, seen, reported, since } = client;
    let seconds = now.saturating_duration_since(since).as_secs();
    Row { number, name: name.map(|name| name.to_string()), seen, reported, seconds }
}

/// More than anybody reads at a glance.
const ROWS_MAX: usize = 20;

/// When somebody came or went: soon, but a crowd does not cost a table each.
const REDRAW: Duration = Duration::from_millis(200);

/// Otherwise: everybody has been here for a while longer.
const REFRESH: Duration = Duration::from_secs(5);
