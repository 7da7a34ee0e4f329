//! What a chat client's program was asked to do, and what it needs for that.

use super::files::{Files, Telling};
use super::random;
use crate::chat::client::Config;
use crate::io::udp::{self, Wire};
use crate::io::{clock, store};
use crate::packet::chat::{ClientName, Hex};
use crate::session::Via;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Who joins which registry, and what for.
pub struct ChatPlan {
    /// The registry, as the user wrote it.
    pub target: String,
    /// The registry.
    pub registry: SocketAddr,
    /// The name to ask for.
    pub name: Option<ClientName>,
    /// The number to ask for.
    pub number: Option<u64>,
    /// Where files are saved.
    pub folder: PathBuf,
    /// A program speaks and listens, not a person.
    pub json: bool,
}

impl ChatPlan {
    /// The client that speaks through the wire's socket 0.
    ///
    /// # Errors
    /// When the socket has no address, or the system no random bits.
    pub(super) fn client(&self, wire: &Wire) -> io::Result<Config> {
        let port = wire.local_address(0)?.port();
        let reported = udp::own_address_towards(self.registry).map(|ip| SocketAddr::new(ip, port));
        Ok(Config {
            via: Via::socket(0),
            registry: self.registry,
            name: self.name.clone(),
            number: self.number,
            key: Hex(random()?),
            reported: reported.into_iter().collect(),
            first: clock::microseconds_since_1970(),
        })
    }

    /// The folder for files: better no program than one that accepts what it cannot save.
    ///
    /// # Errors
    /// When files cannot be made there.
    pub(super) fn files(&self, wire: &Wire) -> io::Result<Files> {
        let folder = self.folder.display();
        let cannot = |why: String| {
            io::Error::other(format!("cannot save beneath {folder}: {why}; --folder names another folder"))
        };
        let telling = if self.json { Telling::Often } else { Telling::Seldom };
        let files = Files::new(&self.folder, telling, &wire.waker()).map_err(|error| cannot(error.to_string()))?;
        store::check_writable(&self.folder).map_err(|error| cannot(error.to_string()))?;
        Ok(files)
    }
}
