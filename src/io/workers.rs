//! Threads that carry out the store's orders, so that the socket thread never waits for a disk.

use super::store::{Incoming, Policy, Store, StoreError};
use super::udp::Waker;
use crate::endpoint::{Endpoint, SessionId};
use crate::name::SafeName;
use crate::session::stop_and_wait::{Order, Placement, StoreFailure};
use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Instant;

/// The disk's side of a server. Orders of one transfer stay in order; different transfers do not wait for each other.
pub struct Workers {
    store: Arc<Store>,
    lanes: Vec<Sender<(SessionId, Order)>>,
    answers: Receiver<(SessionId, Answer)>,
    threads: Vec<JoinHandle<()>>,
}

enum Answer {
    Admitted(Result<(), StoreFailure>),
    Written(usize),
    Published(Result<Placement, StoreFailure>),
    Failed(StoreFailure),
}

impl Workers {
    /// Opens the store beneath `root` and starts its threads; `waker` ends the socket thread's wait when an answer is there.
    ///
    /// # Errors
    /// When the folder cannot be used, or the system gives no thread.
    pub fn start(root: &Path, policy: Policy, waker: &Waker) -> Result<Self, StartError> {
        let store = Arc::new(Store::open(root, policy)?);
        let (answers_in, answers) = channel();
        let mut workers = Self { store: Arc::clone(&store), lanes: Vec::new(), answers, threads: Vec::new() };
        for number in 0..LANES {
            let (orders_in, orders) = channel();
            let (store, answers, waker) = (Arc::clone(&store), answers_in.clone(), waker.clone());
            let lane = Lane { store, jobs: HashMap::new(), answers, waker };
            let thread =
                std::thread::Builder::new().name(format!("store {number}")).spawn(move || lane.run(&orders))?;
            workers.lanes.push(orders_in);
            workers.threads.push(thread);
        }
        Ok(workers)
    }

    /// What the orders are carried out in.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Passes an order on.
    pub fn order(&self, id: SessionId, order: Order) {
        let lane = usize::try_from(id.0).unwrap_or_default() % LANES;
        if let Some(lane) = self.lanes.get(lane) {
            // A lane ends only when this end is dropped.
            let _ = lane.send((id, order));
        }
    }

    /// Hands all answers that are there to the endpoint; says whether there was one.
    pub fn deliver(&self, endpoint: &mut Endpoint, now: Instant) -> bool {
        let mut any = false;
        while let Ok((id, answer)) = self.answers.try_recv() {
            any = true;
            match answer {
                Answer::Admitted(verdict) => endpoint.handle_admitted(id, verdict, now),
                Answer::Written(bytes) => endpoint.handle_written(id, bytes, now),
                Answer::Published(result) => endpoint.handle_published(id, result, now),
                Answer::Failed(failure) => endpoint.handle_store_failed(id, failure, now),
            }
        }
        any
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

/// Why the store could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The folder cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No thread.
    #[error("no thread for the disk: {0}")]
    Thread(#[from] io::Error),
}

/// One thread's share of the transfers.
struct Lane {
    store: Arc<Store>,
    jobs: HashMap<SessionId, Job>,
    answers: Sender<(SessionId, Answer)>,
    waker: Waker,
}

struct Job {
    name: SafeName,
    size: u64,
    /// The temporary file, from the first block on.
    incoming: Option<Incoming>,
}

impl Lane {
    fn run(mut self, orders: &Receiver<(SessionId, Order)>) {
        while let Ok((id, order)) = orders.recv() {
            // A panic over one file must not leave the others of this lane without answers.
            let done = catch_unwind(AssertUnwindSafe(|| self.carry_out(id, order)));
            let answer = done.unwrap_or_else(|_| {
                self.jobs.remove(&id);
                Some(Answer::Failed(StoreFailure {
                    reason: "the server stumbled over this file; tell its operator".into(),
                }))
            });
            if let Some(answer) = answer {
                let gone = self.answers.send((id, answer)).is_err();
                self.waker.wake();
                if gone {
                    return;
                }
            }
        }
    }

    fn carry_out(&mut self, id: SessionId, order: Order) -> Option<Answer> {
        match order {
            Order::Admit { name, size } => {
                let verdict = self.store.admit(&name, size).map(|_| ()).map_err(failure);
                if verdict.is_ok() {
                    self.jobs.insert(id, Job { name, size, incoming: None });
                }
                Some(Answer::Admitted(verdict))
            }
            Order::Create => {
                let opened = self.jobs.get_mut(&id)?.open(&self.store).err()?;
                self.jobs.remove(&id);
                Some(Answer::Failed(failure(opened)))
            }
            Order::Write(block) => {
                let job = self.jobs.get_mut(&id)?;
                let written = job.open(&self.store).and_then(|incoming| incoming.write(&block));
                Some(match written {
                    Ok(()) => Answer::Written(block.len()),
                    Err(error) => {
                        self.jobs.remove(&id);
                        Answer::Failed(failure(error))
                    }
                })
            }
            Order::Publish { expected } => {
                let job = self.jobs.remove(&id)?;
                Some(Answer::Published(job.publish(&self.store, expected)))
            }
            Order::MakeEmpty => {
                let job = self.jobs.remove(&id)?;
                let made = self.store.create_empty_if_absent(&job.name).map_err(failure);
                Some(Answer::Published(made.map(|made| match made {
                    true => Placement::Placed { sha256: empty_digest(), replaced: None },
                    false => {
                        // The non-empty file stays, unless an empty chunk says that it is meant.
                        self.jobs.insert(id, job);
                        Placement::Kept
                    }
                })))
            }
            Order::Discard => {
                self.jobs.remove(&id);
                None
            }
        }
    }
}

impl Job {
    fn open(&mut self, store: &Arc<Store>) -> Result<&mut Incoming, StoreError> {
        let incoming = match self.incoming.take() {
            Some(incoming) => incoming,
            None => store.create(&self.name, self.size)?,
        };
        Ok(self.incoming.insert(incoming))
    }

    /// Gives the file its name if it is the expected one; an empty file is created only here.
    fn publish(mut self, store: &Arc<Store>, expected: Option<[u8; 32]>) -> Result<Placement, StoreFailure> {
        let digest = self.open(store).map_err(failure)?.digest();
        if expected.is_some_and(|expected| expected != digest) {
            let (here, sent) = (hex::encode(digest), hex::encode(expected.unwrap_or_default()));
            return Err(StoreFailure { reason: format!("sha256 differs, here {here}, sent {sent}") });
        }
        let Some(incoming) = self.incoming.take() else { return Err(StoreFailure { reason: "no file".into() }) };
        let published = incoming.publish().map_err(failure)?;
        Ok(Placement::Placed { sha256: published.digest, replaced: published.replaced })
    }
}

fn failure(error: StoreError) -> StoreFailure {
    StoreFailure { reason: error.to_string() }
}

fn empty_digest() -> [u8; 32] {
    use sha2::{Digest, Sha256};
    Sha256::digest([]).into()
}

/// How many files are synced at the same time: enough that one slow disk operation does not hold up everybody.
const LANES: usize = 4;
