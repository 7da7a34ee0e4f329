//! The other side, played by the test: plain lab servers, and a link that does exactly what it is told.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A server made of one function: from what it hears to what it answers.
pub struct FakeServer {
    pub address: SocketAddr,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
    _threads: Threads,
}

impl FakeServer {
    pub fn start(mut answer: impl FnMut(&[u8]) -> Option<Vec<u8>> + Send + 'static) -> Self {
        let (socket, address) = socket();
        let heard: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let log = Arc::clone(&heard);
        let mut threads = Threads::default();
        threads.run(move || {
            let mut slot = vec![0; 65_535];
            if let Ok((length, peer)) = socket.recv_from(&mut slot) {
                log.lock().expect("no panic").push(slot[..length].to_vec());
                if let Some(answer) = answer(&slot[..length]) {
                    // A peer that is gone already misses nothing.
                    let _ = socket.send_to(&answer, peer);
                }
            }
        });
        Self { address, heard, _threads: threads }
    }

    /// Hears everything, says nothing.
    pub fn silent() -> Self {
        Self::start(|_| None)
    }

    /// As a course server does it: `a | n+1 | 1024` to the start, `a | n+1` to each chunk. `acknowledges_end` false makes it
    /// forget the last one.
    pub fn plain(acknowledges_end: bool) -> Self {
        let mut left = 0;
        Self::start(move |datagram| {
            let (kind, seq, rest) = fields(datagram)?;
            match kind {
                b's' => {
                    left = rest.rsplit(|byte| *byte == b' ').next().and_then(number)?;
                    Some(format!("a | {} | 1024", seq + 1).into_bytes())
                }
                b'd' => {
                    left = left.saturating_sub(rest.len() as u64);
                    (left > 0 || acknowledges_end).then(|| format!("a | {}", seq + 1).into_bytes())
                }
                _ => None,
            }
        })
    }

    /// As our own server does it, but the checksum is never answered.
    pub fn checked_without_end() -> Self {
        Self::start(|datagram| match fields(datagram)? {
            (b's', seq, _) => Some(format!("a | {} | 1400 | homing/1 checked", seq + 1).into_bytes()),
            (b'd', seq, _) => Some(format!("a | {}", seq + 1).into_bytes()),
            _ => None,
        })
    }

    /// The first bytes of all messages so far, in order.
    pub fn heard(&self) -> String {
        let heard = self.heard.lock().expect("no panic");
        heard.iter().filter_map(|datagram| datagram.first()).map(|byte| char::from(*byte)).collect()
    }
}

/// Kind, number and the rest of a spaced message.
fn fields(datagram: &[u8]) -> Option<(u8, u64, &[u8])> {
    let (kind, rest) = datagram.split_first()?;
    let rest = rest.strip_prefix(b" | ")?;
    let end = rest.windows(3).position(|window| window == b" | ")?;
    Some((*kind, number(&rest[..end])?, &rest[end + 3..]))
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Which way a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    ToServer,
    ToClient,
}

/// A link for one client: each datagram takes a while, and the test decides what becomes of it.
pub struct Tap {
    pub address: SocketAddr,
    _threads: Threads,
}

impl Tap {
    /// `touch` may change a datagram; where it says false, the datagram is lost.
    pub fn new(
        server: SocketAddr,
        delay: Duration,
        touch: impl FnMut(Way, &mut Vec<u8>) -> bool + Send + 'static,
    ) -> Self {
        let (front, address) = socket();
        let (back, _) = socket();
        back.connect(server).expect("a local address");
        let (front, back) = (Arc::new(front), Arc::new(back));
        let client: Arc<Mutex<Option<SocketAddr>>> = Arc::default();
        let touch = Arc::new(Mutex::new(touch));
        let mut threads = Threads::default();
        {
            let (front, back, touch, client) = (front.clone(), back.clone(), touch.clone(), client.clone());
            threads.run(move || {
                let mut slot = vec![0; 65_535];
                if let Ok((length, from)) = front.recv_from(&mut slot) {
                    *client.lock().expect("no panic") = Some(from);
                    let mut datagram = slot[..length].to_vec();
                    thread::sleep(delay);
                    if touch.lock().expect("no panic")(Way::ToServer, &mut datagram) {
                        // A closed port is the client's business, not the link's.
                        let _ = back.send(&datagram);
                    }
                }
            });
        }
        threads.run(move || {
            let mut slot = vec![0; 65_535];
            if let Ok(length) = back.recv(&mut slot) {
                let mut datagram = slot[..length].to_vec();
                let to = *client.lock().expect("no panic");
                if let Some(to) = to.filter(|_| touch.lock().expect("no panic")(Way::ToClient, &mut datagram)) {
                    let _ = front.send_to(&datagram, to);
                }
            }
        });
        Self { address, _threads: threads }
    }

    /// A link that only takes its time.
    pub fn slow(server: SocketAddr, delay: Duration) -> Self {
        Self::new(server, delay, |_, _| true)
    }
}

/// A socket at a free port that never waits long, so that its thread sees when the test is over.
fn socket() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a time-out");
    let address = socket.local_addr().expect("an address");
    (socket, address)
}

/// Loops that run until they are dropped.
#[derive(Default)]
struct Threads {
    over: Arc<AtomicBool>,
    running: Vec<JoinHandle<()>>,
}

impl Threads {
    fn run(&mut self, mut turn: impl FnMut() + Send + 'static) {
        let over = Arc::clone(&self.over);
        self.running.push(thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                turn();
            }
        }));
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.running.drain(..) {
            // One that panicked has said so already.
            let _ = thread.join();
        }
    }
}
