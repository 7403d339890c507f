//! The `hindcast` binary: declares the modules and runs the command line.

mod cli;
mod client;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    exit_on_broken_pipe();
    match cli::run(cli::Cli::parse()) {
        Ok(outcome) => outcome.exit_code(),
        Err(error) => {
            eprintln!("error: {error}");
            cli::tip(&error).into_iter().for_each(|tip| eprintln!("tip: {tip}"));
            cli::Outcome::of_error(&error).exit_code()
        }
    }
}

/// Exits quietly if standard output is a closed pipe (`| head`), where the standard library would panic.
fn exit_on_broken_pipe() {
    let default_hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let message = panic.payload_as_str().unwrap_or_default();
        if message.starts_with("failed printing to stdout: Broken pipe") {
            std::process::exit(0);
        }
        default_hook(panic);
    }));
}
