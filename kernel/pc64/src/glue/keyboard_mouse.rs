//! Keyboard and mouse, behind the PC's keyboard controller.

use alloc::boxed::Box;
use alloc::sync::Arc;

use machine::lock::Lock;
use pc::i8042;
use pc::keyboard::Keyboard;
use port::dev::cons::input::Input;
use port::dev::hardware::Hardware;
use port::dev::mouse::Mouse;
use port::kmesg::Kmesg;

/// Lets the keyboard type on the console; gives the mouse. Both stay for good.
pub fn keyboard_and_mouse(kmesg: &Kmesg, input: &Arc<Input>, hardware: &Hardware) -> Arc<Mouse> {
    let found = i8042::probe();
    let mouse = Mouse::new(found.as_ref().and_then(|f| f.mouse()).map(|m| m.wheel));
    let Some(found) = found else { return mouse };
    let (input, keyboard) = (input.clone(), Lock::new(Keyboard::new()));
    let keys = move |code| {
        keyboard.lock().code(code, &mut |c| input.put(c.encode_utf8(&mut [0; 4]).as_bytes()));
    };
    let pointer = mouse.clone();
    let moves = move |byte| pointer.byte(byte);
    hardware.add_ports(0x60, 0x60, "kbd");
    hardware.add_ports(0x64, 0x64, "kbd");
    match found.start(Box::new(keys), Box::new(moves)) {
        // The handlers are there as long as the machine is.
        Ok(handlers) => core::mem::forget(handlers),
        Err(e) => kmesg.print(format_args!("keyboard, mouse: {e}\n")),
    }
    mouse
}
