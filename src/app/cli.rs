//! The command lines, as typed and as meant.

mod chatting;
mod checking;
mod common;
mod copying;
mod extent;
mod linking;
mod messaging;
mod papers;
mod serving;
mod settings;
mod talking;
mod weather;

pub use chatting::ChatServerArgs;
pub use checking::{CheckArgs, CheckCommand, ClientCheckArgs, DrawArgs, ExamArgs, ServerCheckArgs};
pub use common::{RecordArgs, Speech, SpellingArg, one_address, usage_error};
pub use copying::{ClientArgs, ModeArg, WindowedArgs};
pub use extent::ExtentArgs;
pub use linking::LinkArgs;
pub use messaging::{EchoClientArgs, EchoServerArgs};
pub use papers::parse;
pub use serving::{BadServerArgs, ServerArgs, ServingArgs};
pub use settings::{Configured, Settings, configured};
pub use talking::ChatClientArgs;
pub use weather::WeatherArgs;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn programs() -> Vec<clap::Command> {
        vec![
            BadServerArgs::command(),
            ChatClientArgs::command(),
            ChatServerArgs::command(),
            CheckArgs::command(),
            ClientArgs::command(),
            EchoClientArgs::command(),
            EchoServerArgs::command(),
            LinkArgs::command(),
            ServerArgs::command(),
        ]
    }

    #[test]
    fn every_option_with_a_value_says_its_default() {
        for program in programs() {
            program.clone().debug_assert();
            for command in std::iter::once(&program).chain(program.get_subcommands()) {
                let with_value = command.get_opts().filter(|option| option.get_action().takes_values());
                for option in with_value.filter(|option| option.get_default_values().is_empty()) {
                    let help = option.get_help().map(ToString::to_string).unwrap_or_default();
                    let is_told = help.contains("[default: ") || help.contains("(Required");
                    assert!(is_told, "{} --{}: {help}", command.get_name(), option.get_long().unwrap_or_default());
                }
            }
        }
    }

    #[test]
    fn no_option_is_called_as_the_opposite_of_another() {
        for program in programs() {
            let names: Vec<&str> = program.get_opts().filter_map(|option| option.get_long()).collect();
            for name in &names {
                assert!(!names.contains(&format!("no-{name}").as_str()), "{}: --{name}", program.get_name());
            }
        }
    }
}
