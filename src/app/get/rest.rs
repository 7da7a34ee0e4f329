//! Where what is got comes to rest: in a folder, or on standard output.

use super::outset::GetPlan;
use super::place::Place;
use crate::io::pour::Pour;
use crate::io::store::{Policy, Store};
use crate::io::trees::{Answer, Expected, Order, Trees};
use crate::io::udp::Wire;
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
    pub(super) fn open(plan: &GetPlan, wire: &Wire) -> io::Result<Result<Self, String>> {
        let GetPlan { existing, attributes, ref wanted, sha256, .. } = *plan;
        let expected = Expected { existing, attributes, wanted: wanted.clone(), sha256 };
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

    /// What is verified has its name then, and the rest is removed.
    pub(super) fn finish(self) {
        if let Self::Folder(mut trees) = self {
            trees.order(ONE, Order::Close);
            trees.finish();
        }
    }
}

/// There is one transfer.
const ONE: u64 = 0;
