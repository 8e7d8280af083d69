//! Commands that the shell does itself.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use abi::Rfork;

use crate::job::is_path;
use crate::os::Os;
use crate::print;
use crate::shell::{Flow, Input, Run, Shell, is_interrupt};
use crate::start::FLAGS;

/// Their names, sorted.
pub const NAMES: [&str; 12] =
    [".", "builtin", "cd", "eval", "exec", "exit", "finit", "flag", "rfork", "shift", "wait", "whatis"];

impl<O: Os> Shell<O> {
    /// Runs a builtin command; nothing if there is none of this name.
    pub(crate) fn builtin(&mut self, argv: &[String], tail: bool) -> Option<Run> {
        let (name, args) = argv.split_first()?;
        Some(match name.as_str() {
            "." => self.dot(args),
            "builtin" => self.without_functions(args, tail),
            "cd" => self.cd(args),
            "eval" => {
                self.set_status("");
                self.run_string(&(args.join(" ") + "\n"))
            }
            "exec" => self.replace(args),
            "exit" => self.exit(args),
            "finit" => {
                self.set_status("");
                self.import_functions()
            }
            "flag" => self.flag_command(args),
            "rfork" => self.rfork(args),
            "shift" => self.shift(args),
            "wait" => self.wait(args),
            "whatis" => self.whatis(args),
            _ => return None,
        })
    }

    fn usage(&mut self, text: &str) -> Run {
        self.put(2, &format!("Usage: {text}\n"));
        self.set_status("usage");
        Ok(())
    }

    fn without_functions(&mut self, args: &[String], tail: bool) -> Run {
        if args.is_empty() {
            return self.fail("builtin: empty argument list");
        }
        self.builtin_or_program(args.to_vec(), tail)
    }

    /// `. [-biq] file [arg ...]`
    pub(crate) fn dot(&mut self, args: &[String]) -> Run {
        let usage = ". [-biq] file [arg ...]";
        let (mut args, mut whole, mut interactive, mut quiet) = (args, self.flag('b'), false, false);
        while let Some((word, rest)) = args.split_first() {
            let Some(letters) = word.strip_prefix('-').filter(|l| !l.is_empty()) else { break };
            args = rest;
            if letters == "-" {
                break;
            }
            for letter in letters.chars() {
                match letter {
                    'b' => whole = true,
                    'i' => interactive = true,
                    'q' => quiet = true,
                    _ => return self.usage(usage),
                }
            }
        }
        let Some((file, rest)) = args.split_first() else { return self.usage(usage) };
        let mut reason = abi::error::ENONEXIST.into();
        let mut opened = None;
        for path in self.candidates(file) {
            let path = self.file_name(&path);
            match self.os.open(&path, abi::OREAD) {
                Ok(fd) => {
                    opened = Some(self.fds.take_for_shell(fd));
                    break;
                }
                Err(e) => reason = e,
            }
        }
        let Some(fd) = opened else {
            if quiet {
                return Ok(());
            }
            self.put(2, &format!("{file}: "));
            return self.fail(&format!(".: can't open: {reason}"));
        };
        let shown = (!interactive && !file.starts_with("/fd/")).then(|| file.clone());
        self.set_status("");
        let depth = self.vars.depth();
        self.vars.enter("*", rest.to_vec());
        self.vars.enter("0", alloc::vec![file.clone()]);
        let mut input = Input::new(fd, shown, interactive);
        input.quiet = quiet;
        let result =
            if whole && !interactive { self.run_whole(&mut input) } else { self.run_input(&mut input) };
        self.vars.leave(depth);
        self.fds.close(&mut self.os, fd);
        result
    }

    fn cd(&mut self, args: &[String]) -> Run {
        let dir = match args {
            [] => match self.vars.get("home").first() {
                Some(home) => home.clone(),
                None => {
                    self.put(2, "Can't cd -- $home empty\n");
                    self.set_status("can't cd");
                    return Ok(());
                }
            },
            [dir] => dir.clone(),
            _ => return self.usage("cd [directory]"),
        };
        let mut places: Vec<String> =
            if is_path(&dir) { Vec::new() } else { self.vars.get("cdpath").to_vec() };
        if places.is_empty() {
            places.push(String::new());
        }
        let mut reason = String::new();
        for place in places {
            let path = if place.is_empty() || place == "." { dir.clone() } else { format!("{place}/{dir}") };
            match self.os.chdir(&path) {
                Ok(()) => {
                    // Found where it was perhaps not expected: say so.
                    if path != dir && self.flag('i') {
                        self.put(1, &format!("{path}\n"));
                    }
                    self.set_status("");
                    return Ok(());
                }
                Err(e) => reason = e,
            }
        }
        self.put(2, &format!("Can't cd {dir}: {reason}\n"));
        self.set_status("can't cd");
        Ok(())
    }

    fn replace(&mut self, args: &[String]) -> Run {
        let Some(name) = args.first() else {
            self.keep_redirs = true;
            self.set_status("");
            return Ok(());
        };
        // After the descriptors are in place there is no way back, so look first.
        let there = self.candidates(name).iter().any(|path| self.os.exists(path));
        if !there {
            let reason = abi::error::ENONEXIST;
            self.put(2, &format!("{name}: {reason}\n"));
            self.set_status(reason);
            return Ok(());
        }
        if self.fits(args) { self.exec(args) } else { Ok(()) }
    }

    fn exit(&mut self, args: &[String]) -> Run {
        match args {
            [] => Err(Flow::Exit(self.status())),
            [status] => Err(Flow::Exit(status.clone())),
            _ => {
                self.put(2, "Usage: exit [status]\nExiting anyway\n");
                Err(Flow::Exit("usage".into()))
            }
        }
    }

    fn flag_command(&mut self, args: &[String]) -> Run {
        let letter = |text: &String| {
            let mut chars = text.chars();
            chars.next().filter(|flag| FLAGS.contains(*flag) && chars.next().is_none())
        };
        match (args.first().and_then(letter), args.get(1).map(String::as_str), args.len()) {
            (Some(flag), None, 1) => {
                let set = self.flag(flag);
                self.set_status(if set { "" } else { "flag not set" });
            }
            (Some(flag), Some(sign @ ("+" | "-")), 2) => {
                self.flags.retain(|&f| f != flag);
                if sign == "+" {
                    self.flags.push(flag);
                }
                self.set_status("");
            }
            _ => return self.usage("flag [letter] [+-]"),
        }
        Ok(())
    }

    fn rfork(&mut self, args: &[String]) -> Run {
        let mut flags = Rfork::empty();
        let letters = match args {
            [] => "ens",
            [letters] => letters.as_str(),
            _ => "?",
        };
        for letter in letters.chars() {
            flags |= match letter {
                'n' => Rfork::NAMEG,
                'N' => Rfork::CNAMEG,
                'e' => Rfork::ENVG,
                'E' => Rfork::CENVG,
                's' => Rfork::NOTEG,
                'f' => Rfork::FDG,
                'F' => Rfork::CFDG,
                'm' => Rfork::NOMNT,
                _ => return self.usage("rfork [fnesFNEm]"),
            };
        }
        // What was assigned before belongs to the old environment too, unless a new one is made for it.
        if !flags.contains(Rfork::ENVG) {
            self.export();
        }
        match self.os.rfork(flags) {
            Ok(()) => {
                self.own_env |= flags.intersects(Rfork::ENVG | Rfork::CENVG);
                self.set_status("");
            }
            Err(e) => {
                self.complain(&format!("rfork failed: {e}"));
                self.set_status("rfork failed");
            }
        }
        Ok(())
    }

    fn shift(&mut self, args: &[String]) -> Run {
        let count = match args {
            [] => Some(1),
            [n] => n.parse().ok(),
            _ => None,
        };
        let Some(count) = count else { return self.usage("shift [n]") };
        let rest = self.vars.get("*").get(count..).unwrap_or(&[]).to_vec();
        self.vars.set("*", rest);
        self.set_status("");
        Ok(())
    }

    /// `wait [pid]`: without a number for all children.
    fn wait(&mut self, args: &[String]) -> Run {
        match args {
            [] => {
                while let Err(e) = self.wait_all() {
                    if !is_interrupt(&e) {
                        break;
                    }
                    self.traps()?;
                }
                self.children.clear();
                self.set_status("");
            }
            [pid] => {
                let Ok(pid) = pid.parse() else { return self.usage("wait [pid]") };
                if !self.children.contains_key(&pid) {
                    self.complain(&format!("wait: {pid} is no child to be waited for"));
                    self.set_status("no child");
                    return Ok(());
                }
                let status = self.wait_for(pid);
                self.set_status(&status);
            }
            _ => return self.usage("wait [pid]"),
        }
        Ok(())
    }

    fn wait_all(&mut self) -> Result<(), String> {
        loop {
            self.reap()?;
        }
    }

    fn whatis(&mut self, args: &[String]) -> Run {
        let mut status = "";
        let mut names = args.to_vec();
        if names.is_empty() {
            for name in self.vars.names() {
                let line = self.assignment(&name);
                self.put(1, &line);
            }
            names = self.vars.function_names();
        }
        for name in names {
            let mut found = false;
            if !args.is_empty() && self.vars.is_set(&name) {
                let line = self.assignment(&name);
                self.put(1, &line);
                found = true;
            }
            if let Some(body) = self.vars.function(&name) {
                let text = print::function(&name, body);
                self.put(1, &text);
            } else if NAMES.contains(&name.as_str()) {
                self.put(1, &format!("builtin {name}\n"));
            } else if let Some(path) = self.candidates(&name).into_iter().find(|p| self.os.executable(p)) {
                self.put(1, &format!("{path}\n"));
            } else if !found {
                self.put(2, &format!("{name}: not found\n"));
                status = "not found";
            }
        }
        self.set_status(status);
        Ok(())
    }

    fn assignment(&self, name: &str) -> String {
        format!("{}={}\n", print::quote(name), print::list(self.vars.get(name)))
    }
}
