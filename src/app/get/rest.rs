//! Where what is got comes to rest: in a folder, or on standard output.

use super::outset::GetPlan;
use super::place::Place;
use crate::chunker::request::{Earlier, Existing};
use crate::chunker::wanted::Wish;
use crate::io::pour::Pour;
use crate::io::store::tree::Peer;
use crate::io::store::{Policy, Store, may_hold_unfinished};
use crate::io::trees::{Answer, Expected, Order, Saved, Trees};
use crate::io::udp::Wire;
use crate::session::handshake::PublicKey;
use std::fs;
use std::io;
use std::sync::Arc;

/// One of both.
pub(super) enum Rest {
    Folder(Trees),
    Output(Pour),
}

impl Rest {
    /// Makes it ready; within, why there is no place.
    pub(super) fn open(
        plan: &GetPlan,
        server: &PublicKey,
        saved: &Saved,
        wire: &Wire,
    ) -> io::Result<Result<Self, String>> {
        // Who it comes from is who may go on with it; one session of ours has one store.
        let peer = Some(Peer { key: server.0, session: 0 });
        let (wanted, saved) = (plan.wanted.clone(), Arc::new(saved.clone()));
        let GetPlan { existing, attributes, sha256, .. } = *plan;
        let expected = Expected { existing, attributes, wanted, sha256, peer, saved };
        let folder = match &plan.place {
            Place::Output => {
                return Pour::start(expected, Box::new(io::stdout()), wire.waker()).map(Self::Output).map(Ok);
            }
            Place::Folder(folder) => folder,
        };
        if let Err(error) = fs::create_dir_all(folder) {
            return Ok(Err(format!("{} cannot be made: {error}", folder.display())));
        }
        // It is the user's own folder, and what comes has the names that were asked for.
        let policy = Policy { allow_hidden: true, ..Policy::default() };
        let store = match Store::open(folder, policy) {
            Ok(store) => Arc::new(store),
            Err(error) => return Ok(Err(format!("{}: {error}", folder.display()))),
        };
        let trees = Trees::start(&store, &wire.waker(), &wire.gauge())?;
        trees.order(ONE, Order::Expect(Box::new(expected)));
        Ok(Ok(Self::Folder(trees)))
    }

    /// Passes an order on.
    pub(super) fn order(&self, order: Order) {
        match self {
            Self::Folder(trees) => trees.order(ONE, order),
            Self::Output(pour) => pour.order(order),
        }
    }

    /// The next answer that is there.
    pub(super) fn poll(&self) -> Option<Answer> {
        match self {
            Self::Folder(trees) => trees.poll().map(|(_, answer)| answer),
            Self::Output(pour) => pour.poll(),
        }
    }

    /// What is verified has its name then, what can be gone on with stays, and the rest is removed. Gives the last answers.
    pub(super) fn finish(self) -> Vec<Answer> {
        let Self::Folder(mut trees) = self else { return Vec::new() };
        trees.order(ONE, Order::Close);
        trees.finish();
        std::iter::from_fn(|| trees.poll()).map(|(_, answer)| answer).collect()
    }
}

/// What may be left of an earlier session where all of this is to come to rest, and what is to become of it; `is_tried` if one was just now.
pub(super) fn earlier(plan: &GetPlan, is_tried: bool) -> Earlier {
    let Place::Folder(folder) = &plan.place else { return Earlier::Ignored };
    let is_there = |wish: &Wish| wish.name.as_ref().is_none_or(|name| folder.join(name.as_str()).exists());
    // What lies deeper is not looked for: to wait in vain costs a round trip.
    let may_be = is_tried
        || matches!(plan.existing, Existing::Update(_))
        || may_hold_unfinished(folder)
        || plan.wanted.is_recursive && folder.exists() && plan.wanted.wishes.iter().any(is_there);
    match (is_tried, plan.restart) {
        (false, true) => Earlier::Dropped,
        _ if may_be => Earlier::Awaited,
        _ => Earlier::Used,
    }
}

/// There is one transfer.
const ONE: u64 = 0;
