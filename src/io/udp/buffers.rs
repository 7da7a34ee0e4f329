//! How much the kernel keeps for a socket while the program is busy elsewhere.

use socket2::SockRef;

/// What a socket was granted, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Buffers {
    receive: usize,
    send: usize,
}

impl Buffers {
    /// Asks for [`WANTED`], and finds out what became of it.
    pub(super) fn enlarge(socket: SockRef<'_>) -> Self {
        // Linux gives the most that it may; others refuse what is too much, and are asked for less.
        let _ = halvings(WANTED.receive).find(|bytes| socket.set_recv_buffer_size(*bytes).is_ok());
        let _ = halvings(WANTED.send).find(|bytes| socket.set_send_buffer_size(*bytes).is_ok());
        // Linux doubles what it is asked for, and needs the other half for its own bookkeeping (socket(7)).
        let share = if cfg!(target_os = "linux") { 2 } else { 1 };
        let granted = |size: std::io::Result<usize>| size.map_or(usize::MAX, |bytes| bytes / share);
        Self { receive: granted(socket.recv_buffer_size()), send: granted(socket.send_buffer_size()) }
    }

    /// The less of both.
    pub(super) fn least(self, other: Self) -> Self {
        Self { receive: self.receive.min(other.receive), send: self.send.min(other.send) }
    }

    /// What to do about it, where it is too little to be fast with.
    pub(super) fn hint(self) -> Option<String> {
        let (receive, send) = (self.receive < USEFUL.receive, self.send < USEFUL.send);
        let settings = [
            receive.then(|| format!("{}={}", SETTINGS.0, WANTED.receive)),
            send.then(|| format!("{}={}", SETTINGS.1, WANTED.send)),
        ];
        let settings: Vec<String> = settings.into_iter().flatten().collect();
        let (what, least, wanted, then) = match (receive, send) {
            (false, false) => return None,
            (true, _) => ("receive", self.receive, WANTED.receive, "a fast transfer loses packets in this machine"),
            (false, true) => ("send", self.send, WANTED.send, "a fast transfer waits for it often"),
        };
        Some(format!(
            "the kernel grants a {what} buffer of {} KiB instead of {} KiB, and {then}; as root: sysctl -w {}",
            least / 1024,
            wanted / 1024,
            settings.join(" "),
        ))
    }
}

fn halvings(bytes: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(bytes), |bytes| Some(bytes / 2)).take_while(|bytes| *bytes >= 64 * 1024)
}

/// What is asked for. Receiving: what comes at 10 Gbit/s while the thread is away for 5 ms, as it is when its core is given to
/// somebody else. Sending: two bursts of 2 ms at 8 Gbit/s. A buffer is a bound; it costs memory only while it is full.
const WANTED: Buffers = Buffers { receive: 7 * 1024 * 1024, send: 4 * 1024 * 1024 };

/// With less there is something to be said: 2 ms at 8 Gbit/s, and eight batches of 64 KiB. (Linux grants 208 KiB unless told
/// otherwise.)
const USEFUL: Buffers = Buffers { receive: 2 * 1024 * 1024, send: 512 * 1024 };

/// The settings that bound what may be asked for.
#[cfg(target_os = "linux")]
const SETTINGS: (&str, &str) = ("net.core.rmem_max", "net.core.wmem_max");
#[cfg(not(target_os = "linux"))]
const SETTINGS: (&str, &str) = ("kern.ipc.maxsockbuf", "kern.ipc.maxsockbuf");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_names_the_settings_only_where_they_would_help() {
        let (little, enough) = (212_992, 4 * 1024 * 1024);
        let cases: [(usize, usize, &[&str]); 4] = [
            (enough, enough, &[]),
            (little, enough, &["receive buffer of 208 KiB instead of 7168 KiB", "7340032"]),
            (enough, little, &["send buffer of 208 KiB instead of 4096 KiB", "4194304"]),
            (little, little, &["receive buffer of 208 KiB", "7340032", "4194304"]),
        ];
        for (receive, send, words) in cases {
            let hint = Buffers { receive, send }.hint();
            assert_eq!(hint.is_some(), !words.is_empty(), "{hint:?}");
            let hint = hint.unwrap_or_default();
            assert!(words.iter().all(|word| hint.contains(word)), "{hint}");
            assert_eq!(hint.matches('=').count(), words.iter().filter(|word| word.parse::<u32>().is_ok()).count());
        }
    }

    #[test]
    fn the_least_counts() {
        let (one, two) = (Buffers { receive: 1, send: 4 }, Buffers { receive: 3, send: 2 });
        assert_eq!(one.least(two), Buffers { receive: 1, send: 2 });
    }
}
