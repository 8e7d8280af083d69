//! Notes. They are only counted when they come; here, between commands, they take effect.

use crate::os::{Note, Os};
use crate::shell::{Flow, Run, Shell};

impl<O: Os> Shell<O> {
    /// Whether the function of a note runs, while which other notes wait.
    pub fn is_trapping(&self) -> bool {
        self.trapping
    }

    /// Acts on notes that came: runs their functions (`fn sigint`), or for an interrupt goes back to the prompt, or
    /// exits.
    ///
    /// # Errors
    /// What the note leads to.
    pub fn traps(&mut self) -> Run {
        while !self.trapping
            && let Some(note) = self.os.note()
        {
            if self.subshell {
                return Err(Flow::Exit(self.status_or(note)));
            }
            if let Some(body) = self.vars.function(note.function()) {
                let body = body.clone();
                let args = self.vars.get("*").to_vec();
                let status = self.status();
                self.trapping = true;
                let result = self.call(&body, args, false);
                self.trapping = false;
                result?;
                self.set_status(&status);
                continue;
            }
            let status = self.status_or(note);
            if note == Note::Interrupt {
                self.set_status(&status);
                return Err(Flow::Abort);
            }
            return Err(Flow::Exit(status));
        }
        Ok(())
    }

    /// The status of what was interrupted, if that has a bad one.
    fn status_or(&self, note: Note) -> alloc::string::String {
        if self.succeeded() { note.text().into() } else { self.status() }
    }

    /// Ends the main shell: runs `fn sigexit` and returns the exit status.
    pub(crate) fn leave(&mut self, status: alloc::string::String) -> alloc::string::String {
        let mut status = status;
        if let Some(body) = self.vars.function("sigexit") {
            let body = body.clone();
            self.set_status(&status);
            self.trapping = true;
            match self.call(&body, self.vars.get("*").to_vec(), false) {
                Err(Flow::Exit(other)) => status = other,
                Err(Flow::Gone(other)) => return other,
                Ok(()) | Err(Flow::Abort) => {}
            }
        }
        self.export();
        self.exit_status(status)
    }
}
