//! Several commands as one program, which does what the name it is called by says.
//!
//! A command alone is forty kilobytes of library and a few of its own, so what they share is there once. Which one is
//! meant the name of the file says that is executed: `argv[0]` is what somebody called it, and a file that is bound
//! over another stays what it is. When that is no name of a command, as a copy's may be, `argv[0]` counts, and when
//! that is none either the first argument.

use alloc::vec::Vec;

use lib9::{Args, Result, error, proc};

/// What does a command's work.
pub type Main = fn(&Args) -> Result<()>;

/// Makes a module for each command, and a function `find` that finds its `main` by its name.
#[macro_export]
macro_rules! commands {
    ($($name:literal => $module:ident,)*) => {
        $(mod $module;)*

        fn find(name: &str) -> Option<$crate::program::Main> {
            Some(match name {
                $($name => $module::main,)*
                _ => return None,
            })
        }
    };
}

/// Does the work of the command that is meant.
///
/// # Errors
/// The command's, or that there is none.
pub fn run(args: &Args, find: fn(&str) -> Option<Main>) -> Result<()> {
    // Nobody wants what cannot be written: it is not made for ever.
    lib9::out::end_when_failing();
    let mut record = [0; 256];
    let by_file = proc::file_name(&mut record).and_then(find);
    if let Some(main) = by_file.or_else(|| find(args.name())) {
        return main(args);
    }
    let words: Vec<_> = args.words().to_vec();
    match words.first().and_then(|word| find(word)) {
        Some(main) => main(&Args::new(words)),
        None => Err(error!("there is no command of this name")),
    }
}
