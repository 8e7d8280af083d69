//! Programs that ask a file like those of cs(8) and dns(8): `ndb/csquery` and `ndb/dnsquery`.

use alloc::string::String;

use abi::ORDWR;
use lib9::{File, Reader, Result, eprintln, error, exits, fd, out, print};

/// Asks `file` the questions, or those that come as lines of the input, and prints the answers, unless they are not to
/// be seen. `question` is what a line asks; none is nothing.
///
/// # Errors
/// When the file cannot be opened, or read. A question without an answer is told, and is the status at the end.
pub fn run(
    file: &str,
    questions: &[String],
    seen: bool,
    question: impl Fn(&str) -> Option<String>,
) -> Result<()> {
    let asked = File::open(file, ORDWR).map_err(|e| error!("can't open {file}: {e}"))?;
    let mut failed = false;
    for line in questions {
        failed |= question(line).is_some_and(|question| !ask(&asked, &question, seen));
    }
    if questions.is_empty() {
        let (mut input, prompts) = (Reader::new(0), fd::is_console(0));
        loop {
            if prompts {
                print!("> ");
                out::flush()?;
            }
            let Some(line) = input.line()? else { break };
            failed |= question(&String::from_utf8_lossy(&line))
                .is_some_and(|question| !ask(&asked, &question, seen));
        }
    }
    out::flush()?;
    if failed { exits("no answer") } else { Ok(()) }
}

/// Asks one question; whether there is an answer.
fn ask(asked: &File, question: &str, seen: bool) -> bool {
    let answers = || -> Result<()> {
        // Not through the offset, which belongs to the answer.
        asked.pwrite(question.as_bytes(), 0)?;
        asked.seek(0, 0)?;
        let mut line = [0; 2048];
        loop {
            let n = asked.read(&mut line)?;
            if n == 0 {
                return out::flush();
            }
            if seen {
                print!("{}\n", String::from_utf8_lossy(line.get(..n).unwrap_or_default()));
            }
        }
    };
    answers()
        .inspect_err(|e| {
            if seen {
                eprintln!("{}: {e}", question.trim_end())
            }
        })
        .is_ok()
}
