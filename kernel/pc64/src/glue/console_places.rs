//! Where the console is seen: on the serial line, on the screen, on a virtio port, or on several of them, as the word
//! `console` says. A port alone has the serial line to fall back on.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use io::ConsoleOut;
use io::port::Finder;
use machine::uart::Uart;
use pc::console::ScreenConsole;
use port::dev::cons::input::Input;
use port::dev::uart::SerialConsole;
use port::dev::virtcon::console::PortConsole;
use port::kmesg::Kmesg;

/// Where the console is.
pub struct Places {
    /// The serial line: what arrives there is typed on the console.
    pub uart: bool,
    /// A virtio port.
    pub port: Option<Arc<PortConsole>>,
}

/// The console in several places.
struct All(Vec<Arc<dyn ConsoleOut>>);

impl ConsoleOut for All {
    fn write(&self, bytes: &[u8]) {
        self.0.iter().for_each(|place| place.write(bytes));
    }

    fn flush(&self) {
        self.0.iter().for_each(|place| place.flush());
    }
}

/// Puts the console where the last word `console` wants it, and shows there what has been said so far. A machine
/// without a screen has it on the serial line. A virtio port is heard from [`console_port`] on.
pub fn console(kmesg: &Kmesg, words: &[(String, String)]) -> Places {
    let wanted = words.iter().rev().find(|(name, _)| name == "console").map_or("uart", |(_, value)| value);
    let wants = |name| wanted.split(',').any(|place| place == name);
    let screen = if wants("vga") { ScreenConsole::find() } else { None };
    let missing = wants("vga") && screen.is_none();
    let uart = wants("uart") || missing;
    let virtio = |place| match place {
        "virtio" => Some(""),
        other => str::strip_prefix(other, "virtio:"),
    };
    let serial = || Arc::new(SerialConsole(Arc::new(Uart::com1()))) as Arc<dyn ConsoleOut>;
    let mut places: Vec<Arc<dyn ConsoleOut>> = Vec::new();
    if uart {
        places.push(serial());
    }
    places.extend(screen.map(|s| Arc::new(s) as Arc<dyn ConsoleOut>));
    let alone = places.is_empty();
    let port = wanted
        .split(',')
        .find_map(virtio)
        .map(|name| PortConsole::new(name, (alone && Uart::com1().is_present()).then(serial)));
    places.extend(port.clone().map(|p| p as Arc<dyn ConsoleOut>));
    let one = if places.len() == 1 { places.pop() } else { None };
    kmesg.set_console(one.unwrap_or_else(|| Arc::new(All(places))), true);
    if missing {
        kmesg.print(format_args!("console: no VGA; the console is on the serial line\n"));
    }
    Places { uart: uart || alone && port.is_some(), port }
}

/// The virtio port, if the console has one, can be spoken to and typed at from now on.
pub fn console_port(kmesg: &Arc<Kmesg>, places: &Places, find: &Finder, input: &Arc<Input>) {
    let Some(port) = &places.port else { return };
    if let Err(e) = port.start(find.clone(), input, kmesg) {
        kmesg.print(format_args!("console: no virtio port: {e}\n"));
    }
}

/// What the kernel says when it ends by itself comes out at the first virtio console that can print without being asked
/// twice, if the console is on one.
pub fn last_words(places: &Places, system: &virtio::System) {
    let emergency = system.consoles.iter().find_map(|(_, console)| console.emergency());
    if let (Some(emergency), Some(_)) = (emergency, &places.port) {
        machine::console::set_last_words(Box::new(emergency));
    }
}
