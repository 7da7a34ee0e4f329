//! `server`: receives files.

use clap::CommandFactory;
use homing::app::album::{Album, Diagrams};
use homing::app::cli::{ServerArgs, configured, usage_error};
use homing::app::exit;
use homing::app::remedy::cannot_listen;
use homing::app::serve::{ServePlan, open_harbour, serve};
use homing::endpoint::Endpoint;
use homing::io::events::Note;
use homing::io::qlog::{self, QlogWriter};
use homing::io::signals::Interrupt;
use homing::io::store::Policy;
use homing::io::udp::Wire;
use homing::porter::Porter;
use homing::tap::Tap;
use homing::trace::{Side, Vantage};
use std::process::ExitCode;

fn main() -> ExitCode {
    exit::of_program(run(&configured::<ServerArgs>().args))
}

fn run(args: &ServerArgs) -> anyhow::Result<u8> {
    let diagrams = args.diagram.clone().map(Diagrams::Folder);
    let config_dir = args.config_dir.as_deref();
    let policy = Policy { write_limit: args.write_limit, ..args.serving.policy() };
    let receive_buffer = args.receive_buffer;
    let gets = if args.allow_get { args.max_gets as usize } else { 0 };
    let args = &args.serving;
    let Some(port) = args.port else {
        usage_error(
            &mut ServerArgs::command(),
            "a PORT is needed, as in: server 12300; or `port = 12300` in [server] of config.toml",
        )
    };
    let mut wire = Wire::new(32)?;
    let address = (args.bind, port).into();
    wire.listen(address).map_err(|error| anyhow::anyhow!(cannot_listen(address, &error)))?;
    if let Some(bytes) = receive_buffer {
        wire.shrink_receive_buffers(usize::try_from(bytes).unwrap_or(usize::MAX));
    }
    let interrupt = Interrupt::watch(wire.waker())?;
    let mut report = args.speech.report();
    let album = Album::open(diagrams, args.record.ladder, args.record.recording())?;
    let qlog = args.record.qlog().map(|path| QlogWriter::create(path, qlog::Vantage::Server)).transpose()?;
    let own = wire.local_address(0)?.to_string();
    let recordings = album.as_ref().map(|album| album.recordings(Vantage::Server, own));
    let plan = ServePlan {
        root: args.root.clone(),
        policy,
        exit_after: args.exit_after,
        expected: None,
        misbehaviour: None,
        album,
        qlog,
        gets,
    };
    let harbour = match open_harbour(config_dir, &args.config(), args.windowed_timeout())? {
        Ok(harbour) => Some(harbour),
        Err(error) => {
            report.note(&Note::Remark { text: format!("the windowed mode is off: {error}") })?;
            None
        }
    };
    let endpoint = Tap::new(Endpoint::new(args.config()), Side::Server, recordings);
    let mut machine = Porter::new(endpoint, harbour);
    Ok(serve(&mut wire, &mut machine, plan, report.as_mut(), interrupt)?)
}
