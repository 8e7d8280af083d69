//! Serial lines.

use alloc::boxed::Box;

use machine::uart::Uart;

/// What is called, in interrupt context, with the bytes that arrive.
pub type Receiver = Box<dyn Fn(&[u8]) + Send + Sync>;

/// A serial line.
pub trait Serial: Send + Sync {
    /// Puts all of `bytes` out. Any context.
    fn write(&self, bytes: &[u8]);
    /// What is to be called with what arrives.
    fn set_receiver(&self, receiver: Receiver);
    /// Speed in bits a second; 8 bits, no parity, one stop bit.
    fn baud(&self) -> u32;
}

/// The PC's own lines, which the kernel has set to their highest speed.
impl Serial for Uart {
    fn write(&self, bytes: &[u8]) {
        Uart::write(self, bytes);
    }

    fn set_receiver(&self, receiver: Receiver) {
        Uart::set_receiver(self, receiver);
    }

    fn baud(&self) -> u32 {
        115_200
    }
}
