//! The chat client's program: lines to commands, commands to the machine, its events to whoever reads them.

use super::commands::{self, Command, HELP};
use super::files::Files;
use super::people::{People, Waiting};
use super::plan::ChatPlan;
use super::tell;
use super::underway::Underway;
use super::verdict::Verdict;
use crate::app::exit;
use crate::chat::client::{ChatClient, Event as ChatEvent};
use crate::chat::courier::{Courier, Event};
use crate::io::clock;
use crate::io::driver::{self, Application};
use crate::io::events::chat::ChatNote;
use crate::io::events::talk::{TalkNote, Way};
use crate::io::events::{Note, Report};
use crate::io::lines::{Line, LineSource, Vocabulary};
use crate::io::signals::Interrupt;
use crate::io::udp::Wire;
use crate::packet::chat::Who;
use std::io;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// Chats through the wire's socket 0 until the lines end, a signal comes or the registry will not have us; gives the exit code.
///
/// # Errors
/// When this machine fails: the folder, a thread, the socket; or when nobody reads the report any more.
pub fn chat(
    wire: &mut Wire,
    plan: ChatPlan,
    lines: &mut dyn LineSource,
    vocabulary: &Vocabulary,
    report: &mut dyn Report,
    interrupt: Interrupt,
) -> io::Result<u8> {
    let files = plan.files(wire)?;
    let mut courier = Courier::new(ChatClient::new(plan.client(wire)?, clock::now()));
    let people = People::new(vocabulary.clone());
    let state = State::Joining;
    let mut program = Program {
        plan,
        lines,
        report,
        interrupt,
        files,
        people,
        state,
        asked: false,
        line: None,
        ends: None,
        underway: Underway::default(),
        verdict: Verdict::default(),
    };
    let code = driver::run(wire, &mut courier, &mut program)?;
    // Files that are just getting their names get them; everything else that is half done goes.
    program.files.finish();
    program.drain(&mut courier, clock::now())?;
    Ok(code)
}

struct Program<'a> {
    plan: ChatPlan,
    lines: &'a mut dyn LineSource,
    report: &'a mut dyn Report,
    interrupt: Interrupt,
    files: Files,
    people: People,
    state: State,
    /// A line was asked for and has not come.
    asked: bool,
    /// A line that came.
    line: Option<Line>,
    /// No more lines come.
    ends: Option<u8>,
    underway: Underway,
    /// How a script will have ended.
    verdict: Verdict,
}

/// How far the program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The registry has not answered yet.
    Joining,
    /// It has.
    Registered,
    /// It is being told that we go, and the program ends with this exit code.
    Leaving {
        code: u8,
        /// A signal was the reason; another one ends the program at once.
        signalled: bool,
        /// When a person is told that this takes a while.
        told_at: Option<Instant>,
    },
}

impl Application<Courier> for Program<'_> {
    type Outcome = u8;

    fn turn(&mut self, courier: &mut Courier, _wire: &mut Wire, now: Instant) -> io::Result<ControlFlow<u8, bool>> {
        let mut any = self.files.deliver(courier, now);
        while let Some(event) = courier.poll_event(now) {
            any = true;
            if let Some(code) = self.on_event(event, courier, now)? {
                return Ok(ControlFlow::Break(code));
            }
        }
        if let Some(code) = self.interrupt.exit_code() {
            match self.state {
                // A second one ends the process by itself.
                State::Leaving { signalled: true, .. } => {}
                State::Leaving { .. } | State::Joining => return Ok(ControlFlow::Break(code)),
                State::Registered => return self.leave(courier, code, true, now),
            }
        }
        if let State::Leaving { told_at, .. } = &mut self.state
            && told_at.take_if(|due| now >= *due).is_some()
        {
            let text = "* leaving; Ctrl-C does not wait for an answer".to_owned();
            self.report.note(&Note::Remark { text })?;
        }
        if self.asked
            && let Some(line) = self.lines.take()
        {
            (self.asked, self.line) = (false, Some(line));
        }
        if self.may_take_line(courier)
            && let Some(line) = self.line.take()
        {
            return self.on_line(line, courier, now);
        }
        if let (Some(code), State::Registered) = (self.ends, self.state)
            && self.is_idle(courier)
        {
            return self.leave(courier, code, false, now);
        }
        if !self.asked && self.line.is_none() && self.ends.is_none() && !matches!(self.state, State::Leaving { .. }) {
            self.asked = true;
            self.lines.ask();
        }
        Ok(ControlFlow::Continue(any))
    }

    fn wakes_at(&self) -> Option<Instant> {
        if let State::Leaving { told_at, .. } = self.state { told_at } else { None }
    }
}

impl Program<'_> {
    /// A person is heard at once. Programs are heard when there is a registry to speak to; in a script each line waits besides
    /// for what the line before it has begun.
    fn may_take_line(&self, courier: &Courier) -> bool {
        let is_typed = self.lines.is_interactive();
        match self.state {
            State::Leaving { .. } => true,
            State::Joining => is_typed,
            State::Registered => is_typed || self.plan.json || self.is_idle(courier),
        }
    }

    /// Whether lines come from a file or a pipe, one after the other.
    fn is_script(&self) -> bool {
        !self.plan.json && !self.lines.is_interactive()
    }

    /// Whether everything that was begun is settled.
    fn is_idle(&self, courier: &Courier) -> bool {
        self.underway.is_idle() && !self.files.is_busy() && !courier.is_busy()
    }

    fn on_line(&mut self, line: Line, courier: &mut Courier, now: Instant) -> io::Result<ControlFlow<u8, bool>> {
        if let (State::Leaving { .. }, Line::Interrupted) = (self.state, &line) {
            return Ok(ControlFlow::Break(exit::INTERRUPTED));
        }
        match line {
            Line::Text(_) if matches!(self.state, State::Leaving { .. }) => {}
            Line::Text(line) => match commands::read(&line, self.plan.json) {
                Ok(None) => {}
                Ok(Some(Command::Leave)) => return self.leave(courier, exit::DONE, false, now),
                Ok(Some(command)) => self.obey(command, courier, now)?,
                Err(why) => self.tell(TalkNote::Misunderstood { reason: why.to_string() })?,
            },
            Line::TooLong => {
                let reason = "the line is longer than any message; nothing was done".to_owned();
                self.tell(TalkNote::Misunderstood { reason })?;
            }
            Line::Closed if self.lines.is_interactive() => return self.leave(courier, exit::DONE, false, now),
            Line::Closed => self.ends = Some(exit::DONE),
            Line::Interrupted => return self.leave(courier, exit::INTERRUPTED, false, now),
            Line::Failed(error) => {
                let text = format!("the input cannot be read any further: {error}");
                self.report.note(&Note::Remark { text })?;
                self.ends = Some(exit::LOCAL_FILE);
            }
        }
        Ok(ControlFlow::Continue(true))
    }

    /// Does what it is told, and says so where it is not seen otherwise.
    fn obey(&mut self, command: Command, courier: &mut Courier, now: Instant) -> io::Result<()> {
        let word = tell::word(&command);
        match self.try_to(command, courier, now) {
            Ok(None) => Ok(()),
            Ok(Some(note)) => self.tell(note),
            Err(reason) => self.tell(TalkNote::NotDone { command: word, reason }),
        }
    }

    fn try_to(&mut self, command: Command, courier: &mut Courier, now: Instant) -> Result<Option<TalkNote>, String> {
        let client = courier.client();
        let done = match command {
            Command::List => client.list(now).map(|()| self.underway.on_question()),
            Command::LookUp(who) => client.look_up(&who, now).map(|()| self.underway.on_question()),
            Command::Connect(who) => client.connect(&who, now).map(|()| self.underway.on_request(Some(who))),
            Command::Terminate => {
                let is_request = client.peer().is_none();
                client.terminate(now).map_err(|error| error.to_string())?;
                self.underway.on_request(None);
                return Ok(is_request.then_some(TalkNote::TakenBack));
            }
            Command::Send(text) => {
                let number = client.send(&text, now).map_err(|error| error.to_string())?;
                self.underway.on_message();
                return Ok(Some(TalkNote::Sent { number, text }));
            }
            Command::Accept(who) => return self.accept(who, courier, now).map(Some),
            Command::Reject { who, reason } => return self.reject(who, &reason, courier, now).map(Some),
            Command::RejectAsTyped(words) => {
                let (who, reason) = self.people.whose_and_why(&words);
                return self.reject(who, reason, courier, now).map(Some);
            }
            Command::SendFile(path) => return self.files.offer(&path, courier, now).map(Some),
            Command::Help => {
                return self
                    .report
                    .note(&Note::Remark { text: HELP.into() })
                    .map(|()| None)
                    .map_err(|error| error.to_string());
            }
            Command::Leave => Ok(()),
        };
        done.map(|()| None).map_err(|error| error.to_string())
    }

    fn accept(&mut self, who: Option<Who>, courier: &mut Courier, now: Instant) -> Result<TalkNote, String> {
        let is_connected = courier.client().peer().is_some();
        let waiting = self.people.waiting(who.as_ref(), is_connected)?;
        if let Some((file, size)) = waiting.file {
            courier.accept_file(now).map_err(|error| error.to_string())?;
            self.people.forget_file();
            return Ok(TalkNote::FileAccepted { way: Way::In, file, size });
        }
        courier.client().accept(Some(&Who::Number(waiting.peer.client)), now).map_err(|error| error.to_string())?;
        self.people.forget_request(waiting.peer.client);
        Ok(TalkNote::Accepting { peer: waiting.peer })
    }

    fn reject(
        &mut self,
        who: Option<Who>,
        reason: &str,
        courier: &mut Courier,
        now: Instant,
    ) -> Result<TalkNote, String> {
        let Waiting { peer, file } = self.people.waiting(who.as_ref(), false)?;
        if let Some((file, _)) = file {
            courier.reject_file(reason, now).map_err(|error| error.to_string())?;
            self.people.forget_file();
            return Ok(TalkNote::Declined { peer, file: Some(file) });
        }
        let client = courier.client();
        client.reject(Some(&Who::Number(peer.client)), reason, now).map_err(|error| error.to_string())?;
        self.people.forget_request(peer.client);
        Ok(TalkNote::Declined { peer, file: None })
    }

    /// Ends everything in order; a program that nobody knows yet ends at once.
    fn leave(
        &mut self,
        courier: &mut Courier,
        code: u8,
        signalled: bool,
        now: Instant,
    ) -> io::Result<ControlFlow<u8, bool>> {
        match self.state {
            State::Joining => return Ok(ControlFlow::Break(code)),
            State::Leaving { .. } => {}
            State::Registered => {
                if self.underway.is_waiting() {
                    self.verdict.miss();
                }
                courier.leave(now);
                self.state = State::Leaving { code, signalled, told_at: (!self.plan.json).then(|| now + LEAVING_TOLD) };
            }
        }
        Ok(ControlFlow::Continue(true))
    }

    /// Takes all events once more, after the machine's last turn.
    fn drain(&mut self, courier: &mut Courier, now: Instant) -> io::Result<()> {
        self.files.deliver(courier, now);
        while let Some(event) = courier.poll_event(now) {
            self.on_event(event, courier, now)?;
        }
        Ok(())
    }

    /// Tells of an event; gives the exit code of one that ends the program.
    fn on_event(&mut self, event: Event, courier: &mut Courier, now: Instant) -> io::Result<Option<u8>> {
        let note = match event {
            Event::Chat(event) => return self.on_chat(event, courier, now),
            Event::Sending(event) => self.files.on_sending(event, courier, now),
            Event::Receiving(event) => self.files.on_receiving(event, now),
            Event::NeverBegan { file, reason } => Some(TalkNote::FileFailed { way: Way::In, file, reason }),
            Event::TurnedAway { file, reason } => Some(TalkNote::FileTurnedAway { file, reason }),
        };
        note.map_or(Ok(()), |note| self.tell(note)).map(|()| None)
    }

    fn on_chat(&mut self, event: ChatEvent, courier: &mut Courier, now: Instant) -> io::Result<Option<u8>> {
        self.people.learn(&event);
        self.underway.settle(&event);
        let mut code = None;
        let note = match event {
            ChatEvent::JoinRefused(refusal) => {
                code = Some(exit::REFUSED);
                tell::join_refused(refusal, self.plan.name.as_ref())
            }
            ChatEvent::RegistrySilent => {
                code = (self.state == State::Joining).then_some(exit::NO_ANSWER);
                tell::registry_silent(&self.plan.target, code)
            }
            ChatEvent::Left { acknowledged } => {
                let asked = if let State::Leaving { code, .. } = self.state { code } else { exit::DONE };
                code = Some(if asked == exit::DONE && self.is_script() { self.verdict.code() } else { asked });
                TalkNote::Left { acknowledged }
            }
            ChatEvent::Registered { .. } => {
                if self.state == State::Joining {
                    self.state = State::Registered;
                }
                tell::note(event)
            }
            ChatEvent::Unanswered(_) if self.is_script() => {
                // Nobody is there who could take the request back.
                self.tell(tell::note(event))?;
                let _ = courier.client().terminate(now);
                self.underway.on_request(None);
                TalkNote::TakenBack
            }
            ChatEvent::FileAccepted { .. } | ChatEvent::FileRejected { .. } => {
                self.files.on_answer(matches!(event, ChatEvent::FileAccepted { .. }), now);
                tell::note(event)
            }
            ChatEvent::Terminated { .. } | ChatEvent::Gone { .. } => {
                self.files.on_chat_end(courier);
                tell::note(event)
            }
            event => tell::note(event),
        };
        self.tell(note)?;
        Ok(code)
    }

    fn tell(&mut self, note: TalkNote) -> io::Result<()> {
        self.verdict.learn(&note);
        self.report.note(&Note::Chatting(Box::new(ChatNote::Client(note))))
    }
}

/// An orderly end is rarely noticed; one that takes longer is explained.
const LEAVING_TOLD: Duration = Duration::from_secs(1);
