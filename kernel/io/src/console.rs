//! Where the console's output goes.

/// A place where console output is seen: a serial line, a screen.
pub trait ConsoleOut: Send + Sync {
    /// Puts all of `bytes` out, as they are. Called in any context, by several at once.
    fn write(&self, bytes: &[u8]);

    /// Waits until what was put out is out, but not for ever. Only threads call it.
    fn flush(&self) {}
}
