//! A proxy passes on whole messages of its direction, the same however both streams are cut.

use ninep::proxy::{MSIZE_MAX, Refusal, Stream, streams};

/// Passes a stream on; the messages, and how it ended.
fn pass(stream: &mut Stream, bytes: &[u8], step: usize) -> (Vec<Vec<u8>>, Result<(), Refusal>) {
    let mut out = Vec::new();
    for piece in bytes.chunks(step) {
        stream.push(piece);
        loop {
            match stream.next_message() {
                Ok(Some(message)) => out.push(message.to_vec()),
                Ok(None) => break,
                Err(e) => return (out, Err(e)),
            }
        }
    }
    (out, stream.finish())
}

/// Tries these bytes.
pub fn run(bytes: &[u8]) {
    // How to cut, how much of the rest is requests, and both streams.
    let Some(([step, share], rest)) = bytes.split_first_chunk() else { return };
    let (requests, replies) = rest.split_at(rest.len() * usize::from(*share) / 255);
    let run = |step: usize| {
        let (mut client, mut server) = streams();
        [pass(&mut client, requests, step), pass(&mut server, replies, step)]
    };
    let whole = run(usize::MAX);
    assert_eq!(run(usize::from(*step) + 1), whole);
    for (side, (messages, end)) in whole.iter().enumerate() {
        let bytes = if side == 0 { requests } else { replies };
        assert!(messages.iter().all(|m| (7..=MSIZE_MAX as usize).contains(&m.len())));
        assert!(messages.iter().all(|m| usize::from(m[4] % 2) == side));
        assert!(end.is_err() || messages.concat().len() == bytes.len());
    }
}
