//! The rows: their names, what they are compared with, and what they should become. The names are those that the guest
//! in `guest/elwood` prints.

/// A row of the table.
#[derive(Debug, PartialEq)]
pub struct Row {
    /// Its name: the set that it is of, and what is done.
    pub name: &'static str,
    /// What it is, in words.
    pub what: &'static str,
    /// The Linux guest's row with the same work.
    pub linux: Option<&'static str>,
    /// The floor's row with the same requests.
    pub floor: Option<&'static str>,
    /// What it should be on q35, in the row's unit; issue 14 has the list.
    pub goal: Option<f64>,
    /// What its instructions should be.
    pub goal_insn: Option<f64>,
}

const fn row(name: &'static str, what: &'static str) -> Row {
    Row { name, what, linux: None, floor: None, goal: None, goal_insn: None }
}

impl Row {
    const fn same(self) -> Row {
        let name = self.name;
        self.linux(name)
    }
    const fn linux(mut self, name: &'static str) -> Row {
        self.linux = Some(name);
        self
    }
    const fn floor(mut self, name: &'static str) -> Row {
        self.floor = Some(name);
        self
    }
    const fn goal(mut self, goal: f64) -> Row {
        self.goal = Some(goal);
        self
    }
    const fn insn(mut self, goal: f64) -> Row {
        self.goal_insn = Some(goal);
        self
    }

    /// Whether machines with so many processors have it: two processes that have one each do not switch.
    pub fn is_for(&self, smp: u32) -> bool {
        smp == 1 || self.name != "cpu.sched_yield_switch"
    }

    /// The guest's set that has it.
    pub fn set(&self) -> &'static str {
        match self.name.split_once('.') {
            Some(("9p", rest)) if ["seq", "readers"].iter().any(|io| rest.starts_with(io)) => "9pio",
            Some(("9p", _)) => "9pmeta",
            Some(("cpu", _)) => "cpu",
            Some(("serial", _)) => "serial",
            Some(("net", rest)) if rest.starts_with("user.") => "netuser",
            Some(("net", _)) => "netwire",
            _ => "boot",
        }
    }
}

/// All rows, in the order of the report.
pub const ROWS: &[Row] = &[
    row("cpu.getppid", "the cheapest system call").same().insn(250.0),
    row("cpu.write_devnull", "write 1 byte to /dev/null").same().insn(420.0),
    row("cpu.clock_gettime", "the time: nsec (Linux: no system call)").same().insn(260.0),
    row("cpu.bintime_pread8", "the time: read of /dev/bintime").insn(600.0),
    row("cpu.stat_ramfs", "stat of a file in memory (#R)").same().insn(2400.0),
    row("cpu.stat_root", "stat of a file of the root"),
    row("cpu.open_close_ramfs", "open and close in #R").same().insn(4000.0),
    row("cpu.open_close_root", "open and close in the root"),
    row("cpu.pread4k_ramfs", "pread of 4 KiB of #R").same().insn(1500.0),
    row("cpu.pread4k_root", "pread of 4 KiB of the root"),
    row("cpu.create_remove_ramfs", "create and remove in #R").insn(9000.0),
    row("cpu.sleep0_alone", "sleep(0) with nobody else"),
    row("cpu.sched_yield_switch", "a switch to another process").same(),
    row("cpu.pipe_pingpong", "a byte to and fro through pipes").same().insn(5000.0),
    row("cpu.futex_pingpong", "semaphores to and fro").same().insn(6000.0),
    row("cpu.pipe_64k", "64 KiB writes through a pipe").same(),
    row("cpu.thread_create_join", "a thread, begun and ended").same().insn(25000.0),
    row("cpu.fork_exit_wait", "fork, exit and wait").same().insn(40000.0),
    row("cpu.fork_exec_wait", "fork, exec, exit and wait").same().insn(70000.0),
    row("cpu.vfork_exec_wait", "the same, sharing memory").same().insn(55000.0),
    row("cpu.pagefault_4k", "a page fault").same().insn(2000.0),
    row("cpu.pagefault_brk_4k", "the same below brk"),
    row("cpu.mmap_munmap", "a segment, attached and detached").same(),
    row("cpu.mmap_touch_munmap", "the same, with a page of it used").same(),
    row("9p.stat.u", "#9: stat").linux("9p.stat.none").floor("floor.hlt.L.stat").goal(100.0).insn(12000.0),
    row("9p.stat.L", "the same in 9P2000.L").linux("9p.stat.none").floor("floor.hlt.L.stat"),
    row("9p.fstat.u", "#9: stat of an open file")
        .linux("9p.fstat.none")
        .floor("floor.hlt.L.getattr")
        .insn(4000.0),
    row("9p.pread1_open.u", "#9: one small request")
        .linux("9p.pread1_open.none")
        .floor("floor.hlt.L.read1")
        .insn(4000.0),
    row("9p.open_close.u", "#9: open, close").linux("9p.open_close.none"),
    row("9p.open_read1_close.u", "#9: open, read 1, close")
        .linux("9p.open_read1_close.none")
        .floor("floor.hlt.L.open_read1_close")
        .goal(200.0),
    row("9p.create_unlink.u", "#9: create, remove").linux("9p.create_unlink.none").goal(400.0),
    row("9p.pread4k_random.u", "#9: 4 KiB from anywhere").linux("9p.pread4k_random.none"),
    row("9p.lsl2000.u.cold", "#9: ls -l of 2000 files")
        .linux("9p.lsl2000.none.cold")
        .floor("floor.poll.u.lsl2000.128k")
        .goal(70.0),
    row("9p.lsl2000.L.cold", "the same in 9P2000.L")
        .linux("9p.lsl2000.none.cold")
        .floor("floor.hlt.L.lsl2000.qd16")
        .goal(90.0),
    row("9p.walk5000.u.cold", "#9: a tree of 5000 files, with stats")
        .linux("9p.walk5000_lstat.none.cold")
        .goal(220.0),
    row("9p.walk5000.L.cold", "the same in 9P2000.L").linux("9p.walk5000_lstat.none.cold").goal(300.0),
    row("9p.seqread4k.u.cold", "#9: read by 4 KiB")
        .linux("9p.seqread4k.none.msize512000.cold")
        .floor("floor.hlt.L.read4k")
        .goal(100.0),
    row("9p.seqread64k.u.cold", "by 64 KiB")
        .linux("9p.seqread64k.none.msize512000.cold")
        .floor("floor.hlt.L.read64k")
        .goal(1300.0),
    row("9p.seqread128k.u.cold", "by 128 KiB")
        .linux("9p.seqread128k.none.msize512000.cold")
        .floor("floor.hlt.L.read128k")
        .goal(1800.0),
    row("9p.seqread1m.u.msize1048600.cold", "by 1 MiB")
        .linux("9p.seqread1m.none.msize512000.cold")
        .floor("floor.hlt.L.read1m")
        .goal(3800.0),
    row("9p.seqwrite4k.u.cold", "#9: write by 4 KiB")
        .linux("9p.seqwrite4k.none.msize512000.cold")
        .floor("floor.poll.L.write4k")
        .goal(80.0),
    row("9p.seqwrite64k.u.cold", "by 64 KiB")
        .linux("9p.seqwrite64k.none.msize512000.cold")
        .floor("floor.poll.L.write64k")
        .goal(950.0),
    row("9p.seqwrite128k.u.cold", "by 128 KiB")
        .linux("9p.seqwrite128k.none.msize512000.cold")
        .floor("floor.poll.L.write128k")
        .goal(1500.0),
    row("9p.seqwrite1m.u.msize1048600.cold", "by 1 MiB")
        .linux("9p.seqwrite1m.none.msize512000.cold")
        .floor("floor.poll.L.write1m")
        .goal(3000.0),
    row("9p.readers4_64k.u.cold", "#9: four readers by 64 KiB")
        .linux("9p.readers4_64k.none.msize512000.cold"),
    row("9p.stat.cache", "mount -C: stat of a file that was looked at").linux("9p.stat.loose.warm").goal(3.0),
    row("9p.open_read1_close.cache", "mount -C: open, read 1, close").linux("9p.open_read1_close.loose.warm"),
    row("9p.lsl2000_stat.cache.warm", "mount -C: ls and 2000 stats").linux("9p.lsl2000.loose.warm").goal(8.0),
    row("9p.seqread4k.cache.cold", "mount -C: read by 4 KiB, first")
        .linux("9p.seqread4k.loose.msize512000.cold")
        .goal(800.0),
    row("9p.seqread128k.cache.warm", "mount -C: by 128 KiB, again")
        .linux("9p.seqread128k.loose.msize512000.warm")
        .goal(3000.0),
    row("serial.port.out64k", "a serial port, out by 64 KiB").same().goal(1200.0),
    row("serial.port.out4k", "out by 4 KiB").same().goal(600.0),
    row("serial.port.in64k", "in by 64 KiB").same().goal(400.0),
    row("serial.port.echo64", "64 bytes to and fro").same().goal(60.0),
    row("net.user.out64k", "TCP over the user network, out by 64 KiB").same(),
    row("net.user.in64k", "in by 64 KiB").same(),
    row("net.user.echo64", "64 bytes to and fro").same(),
    row("net.user.connect", "a connection, begun and ended").same(),
    row("net.user.udp64", "UDP: 64 bytes to and fro, 8 at a time").same(),
    row("net.wire.out64k", "TCP to another guest, out by 64 KiB").same(),
    row("net.wire.in64k", "in by 64 KiB").same(),
    row("net.wire.echo64", "64 bytes to and fro").same(),
    row("net.wire.connect", "a connection, begun and ended").same(),
    row("net.wire.udp64", "UDP: 64 bytes to and fro, 8 at a time").same(),
    row("boot.first", "from QEMU's start to a program's output").same().floor("floor.boot.first").goal(130.0),
    row("boot.prompt", "from QEMU's start to the prompt").goal(150.0),
];

/// The rows whose names contain one of the words; all if there are none.
pub fn chosen(words: &str) -> Vec<&'static Row> {
    let words: Vec<&str> = words.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    ROWS.iter().filter(|row| words.is_empty() || words.iter().any(|word| row.name.contains(word))).collect()
}

/// The sets of rows, each once, in the order of their first rows.
pub fn sets(rows: &[&'static Row]) -> Vec<&'static str> {
    let mut sets = Vec::new();
    for row in rows {
        if !sets.contains(&row.set()) {
            sets.push(row.set());
        }
    }
    sets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_chosen_by_words() {
        let names = |words: &str| chosen(words).iter().map(|row| row.name).collect::<Vec<_>>();
        assert_eq!(names("fork_exit"), ["cpu.fork_exit_wait"]);
        assert_eq!(names("fork_exit, boot.p"), ["cpu.fork_exit_wait", "boot.prompt"]);
        assert_eq!(chosen(" ").len(), ROWS.len());
        assert!(names("no such row").is_empty());
    }

    #[test]
    fn a_switch_is_of_one_processor() {
        let of = |smp| ROWS.iter().filter(|row| row.is_for(smp)).count();
        assert_eq!((of(1), of(2)), (ROWS.len(), ROWS.len() - 1));
    }

    #[test]
    fn names_are_unique_and_sets_come_once() {
        let mut names: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ROWS.len());
        assert_eq!(sets(&chosen("")), ["cpu", "9pmeta", "9pio", "serial", "netuser", "netwire", "boot"]);
        assert_eq!(sets(&chosen("seqread stat_r")), ["cpu", "9pio"]);
    }

    #[test]
    fn what_rows_name_is_what_the_guests_print() {
        let of = |guest: &str, files: &[&str]| -> String {
            let path = |file: &&str| format!("{}/guest/{guest}/{file}", env!("CARGO_MANIFEST_DIR"));
            files.iter().map(|file| std::fs::read_to_string(path(file)).unwrap()).collect()
        };
        let (elwood, linux) = (of("elwood", &["cpu.h", "nine.h"]), of("linux", &["cpu.h", "nine.h"]));
        for row in ROWS.iter().filter(|row| row.set() == "cpu") {
            assert!(elwood.contains(&format!("\"{}\"", row.name)), "{}", row.name);
            assert!(row.linux.is_none_or(|name| linux.contains(&format!("\"{name}\""))), "{}", row.name);
        }
        let floor = of(".", &["floor.c"]);
        for name in ROWS.iter().filter_map(|row| row.floor).filter(|name| *name != "floor.boot.first") {
            let name = name.strip_prefix("floor.").unwrap();
            assert!(floor.contains(&format!("\"{name}\"")), "{name}");
        }
    }
}
