//! The first stack of a program: argument count, pointers, strings, and `Tos` at the very top.

use alloc::vec::Vec;

use abi::layout::{TOS, TOS_CYCLEFREQ, TOS_PID, TOS_SIZE, USTKSIZE, USTKTOP};

/// The bytes from the first stack pointer to `USTKTOP`, and that pointer.
///
/// # Errors
/// `bad arg in system call` when the arguments do not fit into half of the stack.
pub(crate) fn build(args: &[Vec<u8>], pid: u32, cycle_hz: u64) -> Result<(u64, Vec<u8>), &'static str> {
    let strings: usize = args.iter().map(|a| a.len() + 1).sum();
    let pointers = 8 * (args.len() + 2);
    if (strings + pointers) as u64 > USTKSIZE / 2 {
        return Err(abi::error::EBADARG);
    }
    // The strings end below Tos; the pointer is 16-byte aligned, which nobody asks for and nobody minds.
    let first_string = (TOS - strings as u64) & !15;
    let sp = (first_string - pointers as u64) & !15;
    let mut bytes = Vec::with_capacity((USTKTOP - sp) as usize);
    bytes.extend((args.len() as u64).to_le_bytes());
    let mut at = first_string;
    for arg in args {
        bytes.extend(at.to_le_bytes());
        at += arg.len() as u64 + 1;
    }
    bytes.extend([0; 8]);
    bytes.resize((first_string - sp) as usize, 0);
    for arg in args {
        bytes.extend(arg);
        bytes.push(0);
    }
    bytes.resize((TOS - sp) as usize, 0);
    let mut tos = [0u8; TOS_SIZE as usize];
    let (freq, id) = (TOS_CYCLEFREQ as usize, TOS_PID as usize);
    if let Some(place) = tos.get_mut(freq..freq + 8) {
        place.copy_from_slice(&cycle_hz.to_le_bytes());
    }
    if let Some(place) = tos.get_mut(id..id + 4) {
        place.copy_from_slice(&pid.to_le_bytes());
    }
    bytes.extend(tos);
    Ok((sp, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_point_at_the_strings() {
        let args = [b"ls".to_vec(), b"-l".to_vec(), Vec::new()];
        let (sp, b) = build(&args, 7, 1000).unwrap();
        assert_eq!(sp + b.len() as u64, USTKTOP);
        assert_eq!(sp % 16, 0);
        let word = |i: usize| u64::from_le_bytes(b[8 * i..8 * i + 8].try_into().unwrap());
        assert_eq!(word(0), 3);
        assert_eq!(word(4), 0);
        for (i, arg) in args.iter().enumerate() {
            let at = (word(i + 1) - sp) as usize;
            assert_eq!(&b[at..at + arg.len()], &arg[..]);
            assert_eq!(b[at + arg.len()], 0);
        }
        let tos = (TOS - sp) as usize;
        assert_eq!(b[tos + 64], 7);
        assert!(build(&[alloc::vec![b'x'; 9 << 20]], 1, 0).is_err());
    }
}
