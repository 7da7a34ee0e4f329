//! How hard it is for a program to keep up: what its thread of sockets and its threads of the disk know of each other, for the verdict on
//! a transfer.

use super::clock;
use super::effort::Effort;
use crate::limits::Strain;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What the thread of the sockets tells the others.
#[derive(Clone, Debug, Default)]
pub struct Gauge {
    /// For how long it was awake, in microseconds.
    awake: Arc<AtomicU64>,
    /// The sockets, as the kernel numbers them.
    inodes: Arc<[u64]>,
}

impl Gauge {
    /// Of these sockets.
    pub(super) fn new(inodes: Vec<u64>, awake: Arc<AtomicU64>) -> Self {
        Self { awake, inodes: inodes.into() }
    }

    fn awake(&self) -> Duration {
        Duration::from_micros(self.awake.load(Ordering::Relaxed))
    }

    /// The packets that the kernel dropped so far since these sockets had no room.
    fn drops(&self) -> u64 {
        let tables = ["/proc/net/udp", "/proc/net/udp6"].map(|path| std::fs::read_to_string(path).unwrap_or_default());
        let drops = tables.iter().flat_map(|table| table.lines()).filter_map(line);
        drops.filter(|(inode, _)| self.inodes.contains(inode)).map(|(_, drops)| drops).sum()
    }
}

/// A line of the table has the socket's inode as its tenth field, and its drops as the last (Linux, net/ipv4/udp.c, `udp4_format_sock`).
fn line(text: &str) -> Option<(u64, u64)> {
    let mut fields = text.split_ascii_whitespace();
    let inode = fields.nth(9)?.parse().ok()?;
    Some((inode, fields.last()?.parse().ok()?))
}

/// What one transfer costs one thread of the disk, and the thread of the sockets meanwhile. To be used by the former.
#[derive(Debug)]
pub struct Meter {
    gauge: Gauge,
    effort: Effort,
    /// The time, the awake time of the sockets' thread and the drops when the transfer began.
    began: (Instant, Duration, u64),
    /// The first two when bytes came last.
    latest: (Instant, Duration),
    /// Since when the disk's thread works for the transfer, and its effort then.
    working: Option<(Instant, Duration)>,
    disk: Duration,
    disk_effort: Duration,
}

impl Meter {
    /// A transfer begins.
    pub fn begin(gauge: &Gauge) -> Self {
        let (now, awake) = (clock::now(), gauge.awake());
        Self {
            gauge: gauge.clone(),
            effort: Effort::of_this_thread(),
            began: (now, awake, gauge.drops()),
            latest: (now, awake),
            working: None,
            disk: Duration::ZERO,
            disk_effort: Duration::ZERO,
        }
    }

    /// The thread begins to work for the transfer.
    pub fn work(&mut self) {
        self.working = Some((clock::now(), self.effort.so_far().unwrap_or_default()));
    }

    /// It stops, having seen to bytes of files.
    pub fn rest(&mut self) {
        self.latest = (clock::now(), self.gauge.awake());
        (self.disk, self.disk_effort) = self.worked();
        self.working = None;
    }

    /// What is to be told.
    pub fn strain(&self) -> Strain {
        let ((began, awake, drops), (latest, awake_latest)) = (self.began, self.latest);
        let (disk, disk_effort) = self.worked();
        Strain {
            drops: self.gauge.drops().saturating_sub(drops),
            lasted: latest.saturating_duration_since(began),
            awake: awake_latest.saturating_sub(awake),
            disk,
            disk_effort,
        }
    }

    fn worked(&self) -> (Duration, Duration) {
        let Some((since, before)) = self.working else { return (self.disk, self.disk_effort) };
        let (lasted, effort) =
            (clock::now().saturating_duration_since(since), self.effort.so_far().unwrap_or_default());
        (self.disk + lasted, self.disk_effort + effort.saturating_sub(before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernels_table_has_a_socket_and_its_drops() {
        let v4 = " 3509: 0100007F:85D3 00000000:0000 07 00000000:00001B00 00:00000000 00000000     0        0 4937025 2 0000 197";
        assert_eq!(line(v4), Some((4_937_025, 197)));
        assert_eq!(
            line("   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"),
            None
        );
        assert_eq!(line(""), None);
    }

    #[test]
    fn a_transfer_is_told_of_its_own_time_alone() {
        let awake = Arc::new(AtomicU64::new(5_000_000));
        let gauge = Gauge::new(Vec::new(), Arc::clone(&awake));
        let mut meter = Meter::begin(&gauge);
        assert_eq!(meter.strain().awake, Duration::ZERO);
        meter.work();
        awake.store(7_000_000, Ordering::Relaxed);
        meter.rest();
        awake.store(9_000_000, Ordering::Relaxed);
        let strain = meter.strain();
        assert_eq!((strain.awake, strain.drops), (Duration::from_secs(2), 0), "what came later is not about its bytes");
        assert!(strain.disk <= strain.lasted && strain.lasted < Duration::from_secs(20), "{strain:?}");
    }
}
