//! Shows the figures of a server's status listener in a terminal, once per second.
//!
//! `cargo run --release --features top --example top -- 9100`
//!
//! The first tables are about the whole server, including the bytes per second by method. Below
//! them are the listeners, the threads with their turn times and HTTP responses, the upstreams of a
//! proxy, and recent warnings.

#![forbid(unsafe_code)]
#![allow(clippy::print_stderr, missing_docs)]

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use clap::Parser;
use ratatui::Terminal;
use ratatui::backend::TermionBackend;
use ratatui::termion::raw::IntoRawMode;
use ratatui::termion::screen::IntoAlternateScreen;
use sluicegate_protocols::ops;
use sluicegate_reactor::Target;

#[path = "top/figures.rs"]
pub(crate) mod figures;
#[path = "top/keys.rs"]
pub(crate) mod keys;
#[path = "top/source.rs"]
pub(crate) mod source;
#[path = "top/view.rs"]
pub(crate) mod view;

use figures::Figures;

const EXAMPLES: &str = "\
Examples:
  top 9100                                the server that runs with --status 9100
  top unix:/run/status --once             one frame as text";

/// Shows the figures of a server that runs with --status, once per second. Press q or Ctrl-C to
/// quit.
#[derive(Parser)]
#[command(name = "top", version, after_help = EXAMPLES)]
struct Options {
    /// The --status address of the server: a port on the loopback interface, HOST:PORT or
    /// unix:PATH.
    #[arg(value_name = "ADDR", value_parser = ops::address)]
    status: Target,
    /// Print the figures of one second as plain text and exit. This is the default if standard
    /// output is not a terminal.
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

fn print(status: &Target) -> Result<(), Box<dyn Error>> {
    let mut figures = Figures::default();
    figures.add(Ok(source::fetch(status)?));
    thread::sleep(EVERY);
    figures.add(Ok(source::fetch(status)?));
    let written = writeln!(io::stdout(), "{}", view::text(&figures));
    Ok(written.map_err(|error| format!("standard output: {error}"))?)
}

/// Draws the figures after each sample, until a key ends that.
fn watch(status: Target) -> Result<(), Box<dyn Error>> {
    let screen = io::stdout().into_raw_mode()?.into_alternate_screen()?;
    let mut terminal = Terminal::new(TermionBackend::new(screen))?;
    terminal.draw(|frame| frame.render_widget("connecting", frame.area()))?;
    let (tell, samples) = channel();
    let quit = tell.clone();
    thread::spawn(move || {
        let has_quit = keys::wait_for_quit(io::stdin().lock());
        if has_quit { quit.send(None) } else { Ok(()) }
    });
    thread::spawn(move || {
        while tell.send(Some(source::fetch(&status))).is_ok() {
            thread::sleep(EVERY);
        }
    });
    let mut figures = Figures::default();
    while let Ok(Some(sample)) = samples.recv() {
        figures.add(sample);
        terminal.draw(|frame| frame.render_widget(view::text(&figures), frame.area()))?;
    }
    Ok(())
}
