//! `elwood completions`: what a shell reads to complete the words of this command.

use clap::{Args, Command};
use clap_complete::Shell;

#[derive(Args)]
pub struct Options {
    /// The shell that asks
    shell: Shell,
}

/// Prints it for `command`, leaving out what its help does not show.
pub fn completions(options: &Options, command: &Command) {
    let shown = command.get_subcommands().filter(|sub| !sub.is_hide_set()).cloned();
    let mut shown = Command::new("elwood").version(env!("CARGO_PKG_VERSION")).subcommands(shown);
    clap_complete::generate(options.shell, &mut shown, "elwood", &mut std::io::stdout());
}
