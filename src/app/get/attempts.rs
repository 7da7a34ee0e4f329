//! Getting until it is over: when the connection is lost, another one is made, and what is here does not come again.

use super::account::Account;
use super::outset::{GetPlan, Prepared};
use super::rest::{Rest, earlier};
use super::{Attempt, Getting};
use crate::app::contact::patience::Patience;
use crate::app::contact::silence::Silence;
use crate::app::send::random;
use crate::chunker::answers::AnswerReader;
use crate::chunker::request::request_for;
use crate::io::clock;
use crate::io::driver;
use crate::io::events::Report;
use crate::io::processor::preferred_cipher;
use crate::io::signals::Interrupt;
use crate::io::trees::{Answer, Saved};
use crate::io::udp::Wire;
use crate::packet::MAX_DATAGRAM;
use crate::session::handshake::{Opening, PrivateKey, call};
use crate::session::windowed::caller::Dialer;
use crate::session::windowed::download::{Download, Fetching};
use crate::session::windowed::upload::Stats;
use std::io;
use std::net::SocketAddr;

/// Gets what is planned; gives the exit code.
pub(super) fn run(
    plan: GetPlan,
    (peers, folder, key): Prepared,
    wire: &mut Wire,
    (report, interrupt): (&mut dyn Report, Interrupt),
) -> io::Result<u8> {
    let now = clock::now();
    let mut getting = Getting {
        known_hosts: folder.known_hosts(),
        patience: Patience::new(plan.timeout),
        plan,
        report,
        interrupt,
        began: now,
        tried_at: now,
        told_at: None,
        silence: Silence::default(),
        has_begun: false,
        saved: Saved::default(),
        saved_before: 0,
        is_connected: false,
        is_closed: false,
        rest: None,
        answers: AnswerReader::new(),
        is_answered: false,
        is_said: false,
        leaves_at: None,
        account: Account::default(),
        stats: Stats::default(),
        stopped: None,
    };
    let code = loop {
        let (why, peer) = match attempt(&mut getting, &peers, key.clone(), wire)? {
            (Attempt::Over(code), _) => break code,
            (Attempt::Lost(why), peer) => (why, peer),
        };
        let Getting { patience, report, interrupt, .. } = &mut getting;
        if let Err(why) = patience.wait(why, wire, (&mut **report, interrupt))? {
            break getting.fail_with(peer, why)?;
        }
        getting.begin_anew();
    };
    getting.plan.qlog.take().map_or(Ok(()), |qlog| qlog.finish(getting.report))?;
    Ok(code)
}

/// One connection; gives how it ended, and where the server was.
fn attempt(
    getting: &mut Getting<'_>,
    peers: &[SocketAddr],
    key: PrivateKey,
    wire: &mut Wire,
) -> io::Result<(Attempt, Option<SocketAddr>)> {
    let (now, is_tried) = (clock::now(), getting.patience.is_tried());
    getting.plan.wanted.earlier = earlier(&getting.plan, is_tried);
    let plan = &getting.plan;
    let call = call::Config {
        key,
        expected: None,
        cipher: preferred_cipher(),
        opening: Opening::Binary,
        rtt: None,
        timeout: getting.patience.handshake(plan.first_timeout, now),
        seed: random()?,
    };
    let request = request_for(&plan.wanted).map_err(io::Error::other)?;
    let fetching = Fetching { request, mtu_max: MAX_DATAGRAM, timeout: plan.timeout, seed: random()? };
    let mut caller = Dialer::new(Download::new(call, fetching, now), peers.to_vec(), now);
    if plan.qlog.is_some() {
        caller.errand().record(now);
    }
    let ended = driver::run(wire, &mut caller, getting);
    getting.collect_qlog(&mut caller);
    getting.finish_rest()?;
    Ok((ended?, caller.peer()))
}

impl Getting<'_> {
    /// However it ended: temporary files go, but for what can be gone on with.
    fn finish_rest(&mut self) -> io::Result<()> {
        for answer in self.rest.take().map(Rest::finish).unwrap_or_default() {
            if let Answer::Placed { path, bytes, sha256 } = answer {
                self.on_placed(path, bytes, sha256)?;
            }
        }
        Ok(())
    }

    /// Nothing has come yet of another attempt.
    fn begin_anew(&mut self) {
        self.tried_at = clock::now();
        self.saved_before = self.saved.bytes();
        (self.is_connected, self.is_closed, self.is_answered, self.is_said) = Default::default();
        (self.told_at, self.silence, self.leaves_at, self.stats) = Default::default();
        self.answers = AnswerReader::new();
        self.account = self.account.again();
    }
}
