//! The command lines, as typed and as meant.

mod chatting;
mod checking;
mod common;
mod copying;
mod linking;
mod messaging;
mod serving;
mod talking;
mod weather;

pub use chatting::ChatServerArgs;
pub use checking::{CheckArgs, CheckCommand, ClientCheckArgs, DrawArgs, ExamArgs, ServerCheckArgs};
pub use common::{RecordArgs, Speech, SpellingArg, one_address, usage_error};
pub use copying::{ClientArgs, ModeArg, WindowedArgs};
pub use linking::LinkArgs;
pub use messaging::{EchoClientArgs, EchoServerArgs};
pub use serving::{BadServerArgs, ServerArgs, ServingArgs};
pub use talking::ChatClientArgs;
pub use weather::WeatherArgs;
