//! `bad_server`: the server behind bad weather, or with a misbehaviour.

use anyhow::Context;
use clap::CommandFactory;
use homing::app::album::{Album, Diagrams};
use homing::app::cli::{BadServerArgs, parse, usage_error};
use homing::app::exit;
use homing::app::remedy::cannot_listen;
use homing::app::serve::{ServePlan, serve};
use homing::endpoint::{Config, Endpoint};
use homing::hostile::HostileServer;
use homing::io::events::Note;
use homing::io::signals::Interrupt;
use homing::io::source::Source;
use homing::io::udp::Wire;
use homing::trace::Vantage;
use homing::weather::{MISBEHAVIOURS, Misbehaviour};
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = parse::<BadServerArgs>();
    exit::of_program(run(&args))
}

fn run(args: &BadServerArgs) -> anyhow::Result<u8> {
    if args.list {
        let mut out = std::io::stdout().lock();
        for (_, name, sentence) in MISBEHAVIOURS {
            writeln!(out, "{name}  {sentence}")?;
        }
        return Ok(exit::DONE);
    }
    let serving = &args.serving;
    let Some(port) = serving.port else {
        usage_error(&mut BadServerArgs::command(), "a PORT is needed, as in: bad_server 12300 --weather wifi")
    };
    let weather = match args.weather.weather(&[]) {
        Ok(weather) => weather,
        Err(error) => usage_error(&mut BadServerArgs::command(), &error),
    };
    let expected = match &args.expect {
        None => None,
        Some(path) => match Source::open(path) {
            Ok(source) => Some(source.digest().with_context(|| format!("cannot read {}", path.display()))?),
            Err(error) => {
                // Standard error may be closed; the exit code tells all the same.
                let _ = writeln!(std::io::stderr(), "bad_server: {error}");
                return Ok(exit::LOCAL_FILE);
            }
        },
    };
    if serving.record.qlog().is_some() {
        let reason = "a qlog is of windowed transfers, which this server does not take; --trace writes FILE.jsonl";
        usage_error(&mut BadServerArgs::command(), reason);
    }
    let mut wire = Wire::new(32)?;
    let address = (serving.bind, port).into();
    wire.listen(address).map_err(|error| anyhow::anyhow!(cannot_listen(address, &error)))?;
    wire.listen((serving.bind, 0).into()).context("no second port for false answers")?;
    let interrupt = Interrupt::watch(wire.waker())?;
    let mut report = serving.speech.report();
    let seed = args.weather.seed();
    let misbehaviour = args.misbehave.map_or("no misbehaviour".into(), |misbehaviour| misbehaviour.to_string());
    let record = &serving.record;
    let album = Album::open(args.diagram.clone().map(Diagrams::File), record.ladder, record.recording())?;
    let own = wire.local_address(0)?.to_string();
    let recordings = album.as_ref().map(|album| album.recordings(Vantage::Both, own));
    let plan = ServePlan {
        gets: 0,
        root: serving.root.clone(),
        policy: serving.policy(),
        exit_after: serving.exit_after,
        expected,
        misbehaviour: args.misbehave.map(|misbehaviour| misbehaviour.to_string()),
        album,
        qlog: None,
    };
    let config = match args.misbehave {
        Some(Misbehaviour::TinyBuffer) => Config { bufsize: 64, compact_bufsize: 64, ..serving.config() },
        _ => serving.config(),
    };
    let endpoint = Endpoint::new(config);
    let mut server = HostileServer::new(endpoint, weather, args.misbehave, seed);
    if let Some(recordings) = recordings {
        server.record(recordings);
    }
    let text = format!("weather: {weather}; {misbehaviour}; --seed {seed} repeats it");
    let mut report = AfterListening { inner: report.as_mut(), remark: Some(Note::Remark { text }) };
    Ok(serve(&mut wire, &mut server, plan, &mut report, interrupt)?)
}

/// Tells the weather once the port is open: the first line belongs to the address.
struct AfterListening<'a> {
    inner: &'a mut dyn homing::io::events::Report,
    remark: Option<Note>,
}

impl homing::io::events::Report for AfterListening<'_> {
    fn note(&mut self, note: &Note) -> std::io::Result<()> {
        self.inner.note(note)?;
        match self.remark.take() {
            Some(remark) => self.inner.note(&remark),
            None => Ok(()),
        }
    }
}
