//! A copy until it is over: when its connection is lost, another one is made, and what the server has is not sent again.

use super::balance::Balance;
use super::looks::Looks;
use super::memory::PathMemory;
use super::outset::{Beginning, Identity, Named, SendPlan, fail, identity, name_again, random};
use super::{Attempt, Sending, Why};
use crate::app::contact::patience::Patience;
use crate::app::contact::silence::Silence;
use crate::app::exit;
use crate::chunker::answers::AnswerReader;
use crate::chunker::groups::OFFERED_MAX;
use crate::chunker::request::{Earlier, Existing};
use crate::io::clock;
use crate::io::driver;
use crate::io::events::windowed::UploadNote;
use crate::io::events::{Note, Report};
use crate::io::processor::preferred_cipher;
use crate::io::signals::Interrupt;
use crate::io::sources::{Feed, Input, Memory, Resumption, Sources};
use crate::io::throttle::Throttle;
use crate::io::udp::Wire;
use crate::packet::MAX_DATAGRAM;
use crate::session::handshake::{Opening, PrivateKey, call};
use crate::session::windowed::caller::Caller;
use crate::session::windowed::upload::{self, Stats, Upload};
use std::io;
use std::net::SocketAddr;

/// Copies from this beginning on; gives the exit code.
pub(super) fn run(
    plan: SendPlan,
    ((sources, name), identity, balance): (Named, Identity, Balance),
    beginning: Beginning,
    wire: &mut Wire,
    (report, interrupt): (&mut dyn Report, Interrupt),
) -> io::Result<u8> {
    if let Some(text) = wire.buffer_hint() {
        report.note(&Note::Uploading(UploadNote::Hint { text }))?;
    }
    let throttle = match Throttle::start(plan.extent.limit.as_ref(), wire.waker()) {
        Ok(throttle) => throttle,
        Err(error) => return fail(&plan, (error.to_string(), exit::LOCAL_FILE), report),
    };
    let sending = Sending {
        known_hosts: identity.folder.known_hosts(),
        memory: PathMemory::new(identity.folder.known_paths()),
        patience: Patience::new(plan.timeout),
        looks: Looks::new(plan.plot.clone()),
        throttle,
        limit: u64::MAX,
        name,
        report,
        interrupt,
        began: beginning.began,
        tried_at: beginning.began,
        is_invited: beginning.opening != Opening::Binary,
        told_at: None,
        silence: Silence::default(),
        balance,
        answers: AnswerReader::new(),
        digests_told: 0,
        has_begun: false,
        is_connected: false,
        is_closed: false,
        is_done: false,
        stats: Stats::default(),
        stopped: None,
        unconfirmed: None,
        plan,
    };
    until_over(sending, (sources, beginning), &identity.key, wire)
}

/// One attempt after the other.
fn until_over(
    mut sending: Sending<'_>,
    first: (Sources, Beginning),
    key: &PrivateKey,
    wire: &mut Wire,
) -> io::Result<u8> {
    let (peers, input) = (first.1.peers.clone(), first.0.input());
    let mut next = first;
    let code = loop {
        let (why, peer) = match attempt(&mut sending, next, key.clone(), wire)? {
            (Attempt::Over(code), _) => break code,
            (Attempt::Lost(why), peer) => (why, peer),
        };
        let Sending { patience, report, interrupt, .. } = &mut sending;
        if let Err(why) = patience.wait(why, wire, (&mut **report, interrupt))? {
            break sending.fail_with(peer, why)?;
        }
        let sources = match sending.begin_anew(input.clone())? {
            Ok(sources) => sources,
            Err(why) => break sending.fail_with(peer, why)?,
        };
        let (peers, began) = (peers.clone(), sending.tried_at);
        next = (sources, Beginning { peers, opening: Opening::Binary, chosen: None, rtt: None, began });
    };
    sending.finish()?;
    Ok(code)
}

/// One connection; gives how it ended, and where the server was.
fn attempt(
    sending: &mut Sending<'_>,
    (sources, beginning): (Sources, Beginning),
    key: PrivateKey,
    wire: &mut Wire,
) -> io::Result<(Attempt, Option<SocketAddr>)> {
    let plan = &sending.plan;
    let feed = feed(plan, sources, sending.patience.is_tried(), wire)?;
    let now = clock::now();
    let Beginning { peers, opening, chosen, rtt, .. } = beginning;
    let call = call::Config {
        key,
        expected: None,
        cipher: preferred_cipher(),
        opening,
        rtt,
        timeout: sending.patience.handshake(plan.first_timeout, now),
        seed: random()?,
    };
    let (timeout, seed) = (plan.timeout, random()?);
    let how = upload::Sending { choice: plan.choice, remembered: None, mtu_max: MAX_DATAGRAM, timeout, seed };
    let upload = Upload::new(call, how, feed, now);
    let mut caller = match chosen {
        Some(chosen) => Caller::towards(chosen, upload, peers, now),
        None => Caller::new(upload, peers, now),
    };
    caller.upload().handle_limit(sending.limit, now);
    if plan.qlog.is_some() {
        caller.upload().record(now);
        if let Some(peer) = caller.peer() {
            caller.upload().handle_server(peer);
        }
    }
    let ended = driver::run(wire, &mut caller, sending);
    sending.collect_qlog(&mut caller);
    Ok((ended?, caller.peer()))
}

/// Begins to read, or to look where an earlier try ended; `is_tried` if that was just now.
fn feed(plan: &SendPlan, sources: Sources, is_tried: bool, wire: &Wire) -> io::Result<Feed> {
    let waker = wire.waker();
    let (asked, earlier) = match (is_tried, plan.restart) {
        (true, _) => (Earlier::Used, Earlier::Awaited),
        (false, true) => (Earlier::Dropped, Earlier::Dropped),
        (false, false) => (Earlier::Used, Earlier::Used),
    };
    let memory = Memory::open(plan.config_dir.as_deref());
    let trial = memory.as_ref().filter(|_| plan.is_many()).map(|memory| memory.try_again(&identity(plan)));
    let was_tried = is_tried || trial.as_ref().is_some_and(|(was_tried, _)| *was_tried && !plan.restart);
    let awaits = was_tried || matches!(plan.existing, Existing::Update(_));
    let trial = trial.map(|(_, path)| path);
    let resumption = Resumption { earlier, memory, held_max: OFFERED_MAX, awaits, trial };
    let ahead = sources.resume(plan.sha256, resumption, move || waker.wake())?;
    Ok(Feed::new(ahead, plan.existing, asked, plan.extent.attributes))
}

impl Sending<'_> {
    /// Finds the sources once more. Within, why they are not there any more.
    fn begin_anew(&mut self, input: Option<Input>) -> io::Result<Result<Sources, Why>> {
        self.tried_at = clock::now();
        (self.is_invited, self.is_connected, self.is_closed) = Default::default();
        (self.told_at, self.silence, self.stats) = Default::default();
        (self.balance, self.answers) = (Balance::again(), AnswerReader::new());
        self.looks.begin_anew();
        let named = name_again(&self.plan, input, &mut self.balance, self.report)?;
        Ok(named.map(|(sources, _)| sources))
    }

    /// What was looked at is written down.
    fn finish(mut self) -> io::Result<()> {
        self.plan.qlog.take().map_or(Ok(()), |qlog| qlog.finish(self.report))?;
        self.draw(clock::now())
    }
}
