//! Completions for shells and manual pages, made from the definitions of the command lines.

use crate::app::exit;
use clap::builder::EnumValueParser;
use clap::{Arg, Command, Parser, ValueEnum};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, roman};
use std::env;
use std::ffi::OsString;
use std::io::{self, Write};

/// Reads the command line of a program that has no settings in files.
pub fn parse<T: Parser>() -> T {
    let arguments: Vec<OsString> = env::args_os().collect();
    let command = with_generate(T::command());
    print_if_asked(&command, &arguments);
    let parsed = command.try_get_matches_from(&arguments).and_then(|matches| T::from_arg_matches(&matches));
    parsed.unwrap_or_else(|error| error.exit())
}

/// `--generate`, which every program has.
pub(super) fn with_generate(program: Command) -> Command {
    program.arg(
        Arg::new(GENERATE)
            .long(GENERATE)
            .value_name("PAPER")
            .value_parser(EnumValueParser::<Paper>::new())
            .help("Print the manual page, or what a shell needs to complete this program's options, and end")
            .help_heading("Settings")
            .hide_short_help(true),
    )
}

/// Prints what `--generate` asks for and ends the program, if that is the first word; what else the program needs may then be absent.
pub(super) fn print_if_asked(program: &Command, arguments: &[OsString]) {
    let first = arguments.get(1).map(|word| word.to_string_lossy());
    if !first.is_some_and(|word| word.strip_prefix("--").is_some_and(|word| word.starts_with(GENERATE))) {
        return;
    }
    let alone = with_generate(Command::new(program.get_name().to_owned()));
    if let Some(paper) = alone.get_matches_from(arguments).get_one(GENERATE) {
        print(&text(program.clone(), *paper))
    }
}

/// Prints a text and ends the program in order.
pub(super) fn print(text: &[u8]) -> ! {
    // A reader that closed the pipe has seen enough.
    drop(io::stdout().write_all(text));
    std::process::exit(exit::DONE.into())
}

/// What can be made of a command line's definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Paper {
    Man,
    Bash,
    Zsh,
    Fish,
}

fn text(mut program: Command, paper: Paper) -> Vec<u8> {
    let shell = match paper {
        // Memory takes whatever is written.
        Paper::Man => return manual_page(program).unwrap_or_default(),
        Paper::Bash => Shell::Bash,
        Paper::Zsh => Shell::Zsh,
        Paper::Fish => Shell::Fish,
    };
    let (name, mut text) = (program.get_name().to_owned(), Vec::new());
    clap_complete::generate(shell, &mut program, name, &mut text);
    text
}

/// The page as `man` reads it: what `--help` says, in the order in which manuals have it.
fn manual_page(mut program: Command) -> io::Result<Vec<u8>> {
    let usage = program.render_usage().to_string();
    let examples = program.get_before_help().map(ToString::to_string).unwrap_or_default();
    let rest = program.get_after_help().map(ToString::to_string).unwrap_or_default();
    let subcommands: Vec<(String, String)> = program
        .get_subcommands_mut()
        .filter(|command| command.get_name() != "help")
        .map(|command| (command.get_name().to_owned(), command.render_long_help().to_string()))
        .collect();
    let name = program.get_name().to_owned();
    // What is hidden from beginners has no text in a manual page otherwise.
    let manual = Man::new(program.mut_args(|arg| arg.hide_short_help(false))).manual("homing");
    let mut page = Vec::new();
    manual.render_title(&mut page)?;
    manual.render_name_section(&mut page)?;
    as_it_stands("SYNOPSIS", usage.trim_start_matches("Usage:").trim()).to_writer(&mut page)?;
    manual.render_description_section(&mut page)?;
    sections(&examples).to_writer(&mut page)?;
    manual.render_options_section(&mut page)?;
    for (command, help) in subcommands {
        as_it_stands(&format!("{name} {command}").to_uppercase(), &help).to_writer(&mut page)?;
    }
    sections(&rest).to_writer(&mut page)?;
    Ok(page)
}

/// Blocks such as `Examples:` with lines below it, each as a section.
fn sections(text: &str) -> Roff {
    let mut roff = Roff::new();
    for block in text.split("\n\n").filter(|block| !block.trim().is_empty()) {
        match block.split_once(':').filter(|(head, _)| head.len() <= HEADING_MAX && !head.contains(['\n', '`'])) {
            Some((head, lines)) => roff.extend([as_it_stands(&head.to_uppercase(), lines.trim_matches('\n'))]),
            None => {
                roff.control("PP", []);
                for line in block.lines() {
                    roff.text([roman(line)]);
                }
            }
        }
    }
    roff
}

/// A section whose lines are not filled.
fn as_it_stands(heading: &str, text: &str) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [heading]);
    roff.control("nf", []);
    let lines = text.lines().flat_map(|line| [roman(line.trim_end()), Inline::LineBreak]);
    roff.text(lines.collect::<Vec<_>>());
    roff.control("fi", []);
    roff
}

const GENERATE: &str = "generate";

/// `Exit codes` and the like; a sentence with a colon in it is longer.
const HEADING_MAX: usize = 20;
