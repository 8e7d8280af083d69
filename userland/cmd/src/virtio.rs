//! The lines of `/dev/virtio` as a table, and the records of `/dev/virtiostat`.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use lib9::{quote, tokenize};

/// Names of the columns.
const HEADINGS: [&str; 8] =
    ["NAME", "PLACE", "INTERFACE", "INTERRUPT", "IDENTITY", "OFFERED", "TAKEN", "DRIVER"];

/// A device: the columns, then what stands behind them.
pub struct Device {
    columns: [String; 8],
    rest: String,
}

impl Device {
    /// From a line. The place is two words, `pci 0.4.0`, or four, `mmio 0xfeb02e00 slot 23`.
    pub fn parse(line: &str) -> Option<Device> {
        let words = tokenize(line);
        let place = match words.get(3) {
            Some(word) if word == "slot" => 4,
            _ => 2,
        };
        let (name, words) = words.split_first()?;
        let (place, words) = words.split_at_checked(place)?;
        let (fields, rest) = words.split_at_checked(6)?;
        let mut columns: [String; 8] = Default::default();
        columns[0].clone_from(name);
        columns[1] = place.join(" ");
        for (column, field) in columns.iter_mut().skip(2).zip(fields) {
            column.clone_from(field);
        }
        columns[4] = quote(&columns[4]);
        Some(Device { columns, rest: rest.join(" ") })
    }
}

/// The table, with headings.
pub fn table(devices: &[Device]) -> String {
    let headings = HEADINGS.map(String::from);
    let rows: Vec<(&[String; 8], &str)> =
        core::iter::once((&headings, "")).chain(devices.iter().map(|d| (&d.columns, &*d.rest))).collect();
    let width = |n: usize| rows.iter().map(|(c, _)| c[n].chars().count()).max().unwrap_or(0);
    let widths: [usize; 8] = core::array::from_fn(width);
    let mut out = String::new();
    for (columns, rest) in rows {
        let cells = columns.iter().zip(widths).map(|(c, w)| format!("{c:w$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        out += format!("{line}  {rest}").trim_end();
        out.push('\n');
    }
    out
}

/// The record of the device `name`: its line and the indented ones below it.
pub fn record(text: &str, name: &str) -> Option<String> {
    let mut lines = text.lines().skip_while(|line| line.trim_end() != name);
    let mut out = format!("{}\n", lines.next()?.trim_end());
    for line in lines.take_while(|line| line.starts_with('\t')) {
        out += line;
        out.push('\n');
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
        virtio-9p-0  pci 0.4.0               modern msix:48,49 'my tag' 0x30 0x10 9p requests 3 in 99\n\
        virtio-rng-1 mmio 0xfeb02e00 slot 23 legacy -          -        0x20 -    -  no driver for rng\n\
        virtio-net-2 mmio 0xd0000000         -      -          -        -    -    -  gone\n";

    #[test]
    fn lines_become_a_table() {
        let devices: Vec<Device> = TEXT.lines().filter_map(Device::parse).collect();
        assert_eq!(
            table(&devices),
            "\
NAME          PLACE                    INTERFACE  INTERRUPT   IDENTITY  OFFERED  TAKEN  DRIVER
virtio-9p-0   pci 0.4.0                modern     msix:48,49  'my tag'  0x30     0x10   9p      requests 3 in 99
virtio-rng-1  mmio 0xfeb02e00 slot 23  legacy     -           -         0x20     -      -       no driver for rng
virtio-net-2  mmio 0xd0000000          -          -           -         -        -      -       gone
"
        );
        assert!(Device::parse("").is_none() && Device::parse("virtio-9p-0 pci 0.4.0 modern").is_none());
    }

    #[test]
    fn a_record_is_found_by_its_name() {
        let text = "virtio-9p-1 \n\tid 9\nvirtio-9p-11 \n\tid 10\n\tqueue 0\n";
        assert_eq!(record(text, "virtio-9p-1").unwrap(), "virtio-9p-1\n\tid 9\n");
        assert_eq!(record(text, "virtio-9p-11").unwrap(), "virtio-9p-11\n\tid 10\n\tqueue 0\n");
        assert!(record(text, "virtio-9p").is_none());
    }
}
