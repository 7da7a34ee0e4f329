//! Threads that bring the trees of windowed transfers to rest, so that the socket thread never waits for a disk.

mod answer;
mod job;
mod words;

pub use answer::{Answer, Contents};

use super::clock;
use super::gauge::Gauge;
use super::store::Store;
use super::store::tree::Peer;
use super::udp::Waker;
use crate::chunker::request::{Attributes, Existing};
use crate::chunker::wanted::Wanted;
use crate::session::windowed::gather::Block;
use job::Job;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The disk's side of windowed transfers. Orders of one transfer stay in order.
///
/// What waits here is bounded by the flow control of each transfer: only what is answered with [`Answer::Listed`] or
/// [`Answer::Written`] makes room for more.
pub struct Trees {
    lanes: Vec<Sender<(u64, Order)>>,
    answers: Receiver<(u64, Answer)>,
    threads: Vec<JoinHandle<()>>,
}

/// What this side has asked for.
#[derive(Clone, Debug)]
pub struct Expected {
    /// What becomes of files that are there.
    pub existing: Existing,
    /// What permissions and times it gets.
    pub attributes: Attributes,
    /// What may come.
    pub wanted: Wanted,
    /// Also make each file's SHA-256, from what is there in the end.
    pub sha256: bool,
    /// Whom it was asked of, so that a later session finds what this one leaves.
    pub peer: Option<Peer>,
    /// What earlier sessions of this program have saved of it already.
    pub saved: Arc<Saved>,
}

/// Which files have their names, as far as this program has saved them itself: eight bytes each, of which the program has the key.
#[derive(Clone, Debug, Default)]
pub struct Saved {
    hasher: RandomState,
    paths: HashSet<u64>,
    bytes: u64,
}

impl Saved {
    /// A file with this path and so many bytes has its name.
    pub fn insert(&mut self, path: &str, bytes: u64) {
        if self.paths.insert(self.hasher.hash_one(path)) {
            self.bytes = self.bytes.saturating_add(bytes);
        }
    }

    /// Whether a path is that of one of them.
    pub fn contains(&self, path: &str) -> bool {
        !self.paths.is_empty() && self.paths.contains(&self.hasher.hash_one(path))
    }

    /// How many bytes they have.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// What is to be done for a transfer, which begins with the first order for it.
pub enum Order {
    /// The transfer brings what this side has asked for, without a request before it.
    Expect(Box<Expected>),
    /// Whose transfer it is; the first order, where that is known.
    Begin(Peer),
    /// The next bytes of the request, the manifest or the digests, which are one stream.
    Listing(Vec<u8>),
    /// Bytes of the files.
    Bytes(Block),
    /// It is over. What is verified gets its name, the rest is removed.
    Close,
}

impl Trees {
    /// Starts the threads; `waker` ends the socket thread's wait when an answer is there, and `gauge` is what that thread tells of itself.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(store: &Arc<Store>, waker: &Waker, gauge: &Gauge) -> io::Result<Self> {
        let (answers_in, answers) = channel();
        let mut trees = Self { lanes: Vec::new(), answers, threads: Vec::new() };
        for number in 0..LANES {
            let (orders_in, orders) = channel();
            let (store, answers, waker) = (Arc::clone(store), answers_in.clone(), waker.clone());
            let lane = Lane {
                store,
                jobs: HashMap::new(),
                busy: VecDeque::new(),
                placed: clock::now(),
                answers,
                waker,
                gauge: gauge.clone(),
            };
            let thread = std::thread::Builder::new().name(format!("tree {number}")).spawn(move || lane.run(&orders))?;
            trees.lanes.push(orders_in);
            trees.threads.push(thread);
        }
        Ok(trees)
    }

    /// Passes an order on.
    pub fn order(&self, id: u64, order: Order) {
        if let Some(lane) = self.lanes.get(usize::try_from(id).unwrap_or_default() % LANES) {
            // A lane ends only when this end is dropped.
            let _ = lane.send((id, order));
        }
    }

    /// The next answer that is there.
    pub fn poll(&self) -> Option<(u64, Answer)> {
        self.answers.try_recv().ok()
    }

    /// Waits until every order is carried out; temporary files of unfinished transfers are gone then.
    pub fn finish(&mut self) {
        self.lanes.clear();
        for thread in self.threads.drain(..) {
            // A lane that panicked has removed its files while unwinding.
            let _ = thread.join();
        }
    }
}

/// One thread's share of the transfers.
struct Lane {
    store: Arc<Store>,
    /// `None` for one that came to nothing: what still comes for it is dropped.
    jobs: HashMap<u64, Option<Job>>,
    /// Those with something to do besides what comes (holes to make, files that are there to compare): a little after each order, and
    /// whenever there is none.
    busy: VecDeque<u64>,
    /// When it was last looked whether files are to be placed.
    placed: Instant,
    answers: Sender<(u64, Answer)>,
    waker: Waker,
    gauge: Gauge,
}

impl Lane {
    fn run(mut self, orders: &Receiver<(u64, Order)>) {
        loop {
            let is_told = match self.next(orders) {
                Ok((id, order)) => self.attempt(id, |lane| lane.carry_out(id, order)),
                Err(RecvTimeoutError::Timeout) => true,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let busy = self.busy.pop_front();
            let is_told = is_told && busy.is_none_or(|id| self.attempt(id, |lane| lane.work(id)));
            if !is_told || !self.place() {
                return;
            }
        }
        for mut job in self.jobs.into_values().flatten() {
            job.close(&mut Vec::new());
        }
    }

    /// Waits for an order, unless there is something else to do.
    fn next(&self, orders: &Receiver<(u64, Order)>) -> Result<(u64, Order), RecvTimeoutError> {
        let is_unsettled = || self.jobs.values().flatten().any(Job::is_unsettled);
        match self.busy.is_empty() {
            false => orders.recv_timeout(Duration::ZERO),
            true if is_unsettled() => orders.recv_timeout(LOOK_EVERY),
            true => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    /// What waits for its name, and has waited long, gets it; false if nobody is there to be told.
    fn place(&mut self) -> bool {
        let now = clock::now();
        if now.saturating_duration_since(self.placed) < LOOK_EVERY {
            return true;
        }
        self.placed = now;
        let unsettled: Vec<u64> = self
            .jobs
            .iter()
            .filter_map(|(id, job)| job.as_ref().filter(|job| job.is_unsettled()).map(|_| *id))
            .collect();
        unsettled.into_iter().all(|id| {
            self.attempt(id, |lane| {
                let mut answers = Vec::new();
                if let Some(Some(job)) = lane.jobs.get_mut(&id) {
                    job.place(&mut answers);
                }
                answers
            })
        })
    }

    /// Works for one transfer and tells what came of it; false if nobody is there to be told.
    fn attempt(&mut self, id: u64, work: impl FnOnce(&mut Self) -> Vec<Answer>) -> bool {
        // A panic over one transfer must not leave the others of this lane without answers.
        let done = catch_unwind(AssertUnwindSafe(|| work(self)));
        let answers = done.unwrap_or_else(|_| {
            self.jobs.insert(id, None);
            vec![Answer::Broken("the server stumbled over this transfer; tell its operator".into())]
        });
        if answers.is_empty() {
            return true;
        }
        let gone = answers.into_iter().any(|answer| self.answers.send((id, answer)).is_err());
        self.waker.wake();
        !gone
    }

    /// Does a little of what there is to do for a transfer besides its orders; another one's turn comes after it.
    fn work(&mut self, id: u64) -> Vec<Answer> {
        let mut answers = Vec::new();
        let Some(job) = self.jobs.get_mut(&id).and_then(Option::as_mut) else { return answers };
        match job.work(&mut answers) {
            Ok(()) if job.is_busy() => self.busy.push_back(id),
            Ok(()) => {}
            Err(reason) => {
                self.jobs.insert(id, None);
                answers.push(Answer::Broken(reason));
            }
        }
        answers
    }

    fn carry_out(&mut self, id: u64, order: Order) -> Vec<Answer> {
        match order {
            Order::Expect(expected) => {
                self.jobs.insert(id, Some(Job::expecting(&self.store, &self.gauge, *expected)));
                return Vec::new();
            }
            Order::Begin(peer) => {
                self.jobs.insert(id, Some(Job::new(&self.store, &self.gauge, Some(peer))));
                return Vec::new();
            }
            _ => {}
        }
        let job = self.jobs.entry(id).or_insert_with(|| Some(Job::new(&self.store, &self.gauge, None)));
        let mut answers = Vec::new();
        let result = match (order, &mut *job) {
            (Order::Listing(bytes), Some(job)) => job.list(&bytes, &mut answers),
            (Order::Bytes(block), Some(job)) => job.take(block, &mut answers),
            (Order::Close, _) => {
                if let Some(mut job) = self.jobs.remove(&id).flatten() {
                    job.close(&mut answers);
                }
                Ok(())
            }
            (Order::Expect(_) | Order::Begin(_), _) | (_, None) => Ok(()),
        };
        let is_busy = self.jobs.get(&id).is_some_and(|job| job.as_ref().is_some_and(Job::is_busy));
        if is_busy && !self.busy.contains(&id) {
            self.busy.push_back(id);
        }
        if let Err(reason) = result {
            self.jobs.insert(id, None);
            answers.push(Answer::Broken(reason));
        }
        answers
    }
}

/// How often it is looked whether files have waited for long.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// As many as for the lab's transfers, and for the same reason: one slow disk operation does not hold up everybody.
const LANES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_counts_once() {
        let mut saved = Saved::default();
        assert!(!saved.contains("a"));
        for (path, bytes) in [("a", 10), ("b/c", 5), ("a", 10)] {
            saved.insert(path, bytes);
        }
        let copy = saved.clone();
        assert!(copy.contains("a") && copy.contains("b/c") && !copy.contains("b"));
        assert_eq!(copy.bytes(), 15);
    }
}
