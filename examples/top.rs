//! Shows in the terminal what a server does: the figures of its status listener, once a second.
//!
//! `cargo run --release --example top -- 9100`
//!
//! Bars show how many bytes a second go which way. Below them are the listeners, the threads with
//! the times of their turns, HTTP, the upstreams of a proxy, and recent warnings.

#![forbid(unsafe_code)]
#![allow(clippy::print_stderr, missing_docs)]

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use clap::Parser;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyModifiers};
use ratatui::text::Text;
use sluicegate_protocols::ops;
use sluicegate_reactor::Target;

#[path = "top/figures.rs"]
pub(crate) mod figures;
#[path = "top/source.rs"]
mod source;
#[path = "top/view.rs"]
pub(crate) mod view;

use figures::Figures;

/// Shows the figures of a server that has a status listener. The keys q and Control-C end
/// it.
#[derive(Parser)]
#[command(name = "top", version)]
struct Options {
    /// The address that the server has as --status: a port of the loopback address, HOST:PORT or
    /// unix:PATH.
    #[arg(value_name = "ADDR", value_parser = ops::address)]
    status: Target,
    /// Print the figures of one second as plain text, and end. This is what happens, too, if
    /// standard output is not a terminal.
    #[arg(long)]
    once: bool,
}

/// The time between two samples.
const EVERY: Duration = Duration::from_secs(1);

pub(crate) fn main() -> ExitCode {
    let Options { status, once } = Options::parse();
    let is_watched = !once && io::stdout().is_terminal();
    match if is_watched { watch(status) } else { print(&status) } {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn print(status: &Target) -> Result<(), String> {
    let mut figures = Figures::default();
    figures.add(Ok(source::fetch(status)?));
    thread::sleep(EVERY);
    figures.add(Ok(source::fetch(status)?));
    let text = view::text(&figures);
    writeln!(io::stdout(), "{text}").map_err(|error| format!("standard output: {error}"))
}

fn watch(status: Target) -> Result<(), String> {
    let (tell, told) = channel();
    thread::spawn(move || {
        while tell.send(source::fetch(&status)).is_ok() {
            thread::sleep(EVERY);
        }
    });
    let mut figures = Figures::default();
    let mut text = Text::raw("connecting");
    ratatui::run(|terminal| -> io::Result<()> {
        loop {
            terminal.draw(|frame| frame.render_widget(&text, frame.area()))?;
            if event::poll(EVERY / 20)?
                && let Event::Key(KeyEvent { code: KeyCode::Char(key), modifiers, .. }) =
                    event::read()?
                && (key == 'q' || key == 'c' && modifiers.contains(KeyModifiers::CONTROL))
            {
                return Ok(());
            }
            for sample in told.try_iter() {
                figures.add(sample);
                text = view::text(&figures);
            }
        }
    })
    .map_err(|error| error.to_string())
}
