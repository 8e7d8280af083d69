//! The [wire](super) at the other end of a pipe instead of being a device: a process carries the messages, one after
//! the other.

use std::sync::Arc;

use io::message::{Request, Transport};
use ninep::Framer;
use port::call::sysfile;
use port::mem::iobuf::{Dst, Src};
use port::testkit::Hosted;

use super::Handle;

/// Largest reply.
const ROOM: usize = 200_000;

/// A pipe with the wire behind it; gives the kernel's end.
pub fn bridge(t: &Hosted, wire: &Arc<Handle>) -> i32 {
    let [ours, theirs] = sysfile::pipe(&t.up).unwrap();
    let wire = wire.clone();
    t.start(move |up| {
        let mut framer = Framer::new(ROOM as u32);
        let mut buf = vec![0; 50_000];
        'line: loop {
            match sysfile::pread(up, theirs, &mut Dst::Kernel(&mut buf), -1) {
                Ok(n) if n > 0 => framer.push(&buf[..n]),
                _ => break,
            }
            while let Some(message) = framer.next_message().unwrap() {
                let mut request = Request::new(message.len(), ROOM).unwrap();
                request.t.write(0, message);
                request.t_len = message.len();
                let done = request.done.clone();
                wire.submit(request);
                let request = done.wait();
                let mut reply = vec![0; request.result.unwrap()];
                request.reply_read(0, &mut reply);
                if sysfile::pwrite(up, theirs, &Src::Kernel(&reply), -1).is_err() {
                    break 'line;
                }
            }
        }
        sysfile::close(up, theirs).unwrap();
    });
    ours
}
