//! What `/dev/virtio` and `/dev/virtiostat` show: every virtio device of the machine, with or without a driver.
//!
//! The table is made once, by [`crate::init`], and does not change; what does change is asked of the driver
//! whenever the text is read, so there is no lock.

use crate::inventory::identity;
use crate::inventory::names::NamedDevice;
use crate::transport::VirtioTransport;
use crate::transport::recorder::{Recorder, TAKEN_OUT};
use abi::quote::{one_line, quote};
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

/// What a driver says about its device at this moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Interrupts, as `msix:65,66` or `intx:11`.
    pub interrupts: String,
    /// What tells it from others of its class, where the driver knows better than [`identity`] does.
    pub identity: String,
    /// Why it does not work, if it does not.
    pub failure: Option<String>,
    /// Counters, with their names.
    pub counters: Vec<(&'static str, u64)>,
}

/// A driver that has a device.
pub trait Driver: Send + Sync {
    /// The driver's name, one word.
    fn driver(&self) -> &'static str;

    /// How the device is.
    fn status(&self) -> Status;
}

/// One device.
pub struct Row {
    /// Name, number, class, location.
    pub found: NamedDevice,
    /// `modern` or `legacy`, `-` when it could not be opened.
    pub transport: &'static str,
    /// Its driver.
    pub driver: Option<Arc<dyn Driver>>,
    /// Why it has none.
    pub reason: Option<String>,
    /// The way to it, once that is open.
    pub recorder: Option<Arc<Recorder>>,
}

/// All devices, in the order of their numbers.
#[derive(Default)]
pub struct Table {
    rows: Vec<Row>,
}

/// Fields of a line that are padded to a common width.
const COLUMNS: usize = 8;

impl Table {
    /// Adds the next device.
    pub fn push(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// The devices.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// One line a device: name, location (two words), transport, interrupts, identity (quoted as rc quotes, with
    /// pictures for control characters), features offered, features taken (both hexadecimal), driver, then the reason
    /// why it does not work, or the driver's counters other than 0 as `name value`. `-` stands for what there is not.
    ///
    /// # Errors
    /// When `out` is full.
    pub fn write_text(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        // One row is in memory at a time: there may be many.
        let mut widths = [0; COLUMNS];
        for row in &self.rows {
            for (width, field) in widths.iter_mut().zip(row.fields().0) {
                *width = (*width).max(field.chars().count());
            }
        }
        for row in &self.rows {
            let (fields, rest) = row.fields();
            let [all @ .., last] = &fields;
            for (field, width) in all.iter().zip(widths) {
                write!(out, "{field:width$} ")?;
            }
            match rest.trim_end() {
                "" => writeln!(out, "{last}")?,
                rest => writeln!(out, "{last:width$} {rest}", width = widths[COLUMNS - 1])?,
            }
        }
        Ok(())
    }

    /// [`Table::write_text`] for tests.
    #[cfg(test)]
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        self.write_text(&mut out).unwrap();
        out
    }

    /// [`Table::write_details`] for tests.
    #[cfg(test)]
    pub(crate) fn details(&self) -> String {
        let mut out = String::new();
        self.write_details(&mut out).unwrap();
        out
    }

    /// Some lines a device: its name, and indented below that what the driver and its transport have done.
    ///
    /// # Errors
    /// When `out` is full.
    pub fn write_details(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        self.rows.iter().try_for_each(|row| row.details(out))
    }
}

impl Row {
    fn status(&self) -> Status {
        let mut status = self.driver.as_ref().map(|d| d.status()).unwrap_or_default();
        if let Some(recorder) = self.recorder.as_ref().filter(|_| status.identity.is_empty()) {
            status.identity = identity::of(self.found.id, &**recorder);
        }
        if self.driver.is_none() {
            status.failure.clone_from(&self.reason);
        }
        if self.recorder.as_ref().is_some_and(|recorder| recorder.is_gone()) {
            status.failure = Some(TAKEN_OUT.to_string());
        }
        status
    }

    /// Straight into `out`: a console with all its ports has a hundred queues, a line each.
    fn details(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        let status = self.status();
        let mut line = |name: &str, value: &dyn fmt::Display| writeln!(out, "{name} {value}");
        line(&self.found.name, &"")?;
        line("\tid", &self.found.id)?;
        line("\tplace", &self.found.location)?;
        line("\ttransport", &self.transport)?;
        if !status.identity.is_empty() {
            line("\tidentity", &shown(&status.identity))?;
        }
        if !status.interrupts.is_empty() {
            line("\tinterrupts", &status.interrupts)?;
        }
        line("\tdriver", &self.driver.as_ref().map_or("-", |d| d.driver()))?;
        if let Some(why) = &status.failure {
            line("\tfailure", why)?;
        }
        if let Some(recorder) = &self.recorder {
            let record = recorder.record();
            line("\toffered", &format_args!("{:#x}", record.offered))?;
            line("\ttaken", &format_args!("{:#x}", record.taken))?;
            line("\tstatus", &format_args!("{:#x}", recorder.status()))?;
            line("\tresets", &record.resets)?;
            line("\tnotified", &recorder.notifications())?;
            for (number, ring) in &record.queues {
                line(
                    "\tqueue",
                    &format_args!(
                        "{number} size {} descriptors {:#x} available {:#x} used {:#x}",
                        ring.size, ring.descriptors, ring.available, ring.used
                    ),
                )?;
            }
        }
        for (name, count) in &status.counters {
            line("\tcount", &format_args!("{name} {count}"))?;
        }
        Ok(())
    }

    fn fields(&self) -> ([String; COLUMNS], String) {
        let status = self.status();
        let record = self.recorder.as_ref().map(|recorder| recorder.record()).unwrap_or_default();
        let dash = |s: String| if s.is_empty() { "-".to_string() } else { s };
        let fields = [
            self.found.name.clone(),
            self.found.location.to_string(),
            self.transport.to_string(),
            dash(status.interrupts),
            if status.identity.is_empty() { "-".to_string() } else { shown(&status.identity) },
            dash(hex(record.offered)),
            dash(hex(record.taken)),
            self.driver.as_ref().map_or("-", |d| d.driver()).to_string(),
        ];
        let rest = status.failure.unwrap_or_else(|| {
            let counted = status.counters.iter().filter(|(_, n)| *n != 0);
            let words = counted.map(|(name, n)| alloc::format!("{name} {n}"));
            words.collect::<Vec<_>>().join(" ")
        });
        (fields, rest)
    }
}

/// What the host has named, on one line and as one word; a `-` of its own is told from none.
fn shown(identity: &str) -> String {
    if identity == "-" { "'-'".to_string() } else { quote(&one_line(identity)) }
}

/// Hexadecimal, or nothing for zero.
fn hex(n: u64) -> String {
    if n == 0 { String::new() } else { alloc::format!("{n:#x}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeTransport;
    use crate::inventory::names::Location;
    use crate::transport::RingAddress;
    use pci::address;

    struct Fine;

    impl Driver for Fine {
        fn driver(&self) -> &'static str {
            "9p"
        }

        fn status(&self) -> Status {
            Status {
                interrupts: "msix:65,66".into(),
                identity: "my tag".into(),
                failure: None,
                counters: [("requests", 3), ("resets", 0), ("in", 99)].into(),
            }
        }
    }

    #[test]
    fn a_line_for_every_device() {
        let row = |n, id, dev| NamedDevice::new(n, id, Location::Pci(address(0, dev, 0)));
        let recorder = Recorder::new(FakeTransport::with(0x1_1000_0001, [0; 8].into(), 3));
        recorder.accept(0x1_1000_0001);
        let mut table = Table::default();
        table.push(Row {
            found: row(0, 9, 2),
            transport: "modern",
            driver: Some(Arc::new(Fine)),
            reason: None,
            recorder: Some(recorder),
        });
        table.push(Row {
            found: row(1, 4, 10),
            transport: "-",
            driver: None,
            reason: Some("no driver for rng".into()),
            recorder: None,
        });
        assert_eq!(
            table.text(),
            "virtio-9p-0  pci 0.2.0  modern msix:65,66 'my tag' 0x110000001 0x110000001 9p requests 3 in 99\n\
             virtio-rng-1 pci 0.10.0 -      -          -        -           -           -  no driver for rng\n"
        );
    }

    /// A device with as many queues as a console with all its ports.
    #[test]
    fn many_queues_are_no_text_in_memory() {
        let recorder = Recorder::new(FakeTransport::with(0x1_1000_0001, [0; 8].into(), 130));
        let at = 0x1234_5000;
        let ring = RingAddress { size: 128, descriptors: at, available: at + 0x800, used: at + 0x1000 };
        for number in 0..130 {
            recorder.queue_start(number, &ring).unwrap();
        }
        let found = NamedDevice::new(0, 3, Location::Pci(address(0, 2, 0)));
        let mut table = Table::default();
        table.push(Row { found, transport: "modern", driver: None, reason: None, recorder: Some(recorder) });
        let mut text = machine::heap::Text::new();
        let granted = machine::heap::GRANT;
        machine::host::heap::within("details", granted, || table.write_details(&mut text)).unwrap();
        assert!(text.finish().unwrap().lines().count() > 130);
    }

    #[test]
    fn what_the_host_names_is_one_word_of_one_line() {
        let forged = "-\nvirtio-9p-1 pci 0.3.0 it's";
        assert_eq!(shown(forged), "'-␊virtio-9p-1 pci 0.3.0 it''s'");
        assert_eq!(["-", "host", "a\tb"].map(shown), ["'-'", "host", "a␉b"]);
        assert_eq!(abi::quote::tokenize(&shown(forged)).len(), 1);
    }
}
