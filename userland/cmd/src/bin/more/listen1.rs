//! aux/listen1 [-1tv] [-n namespace] [-p calls] [-o message] [-O message] address command [arg ...]: run a command for
//! each call to an address. See listen(8).

use alloc::string::String;
use alloc::vec::Vec;

use cmd::listen::{Answerer, MOST, announce};
use lib9::{Args, Result, error, net, usage};

pub fn main(args: &Args) -> Result<()> {
    let (mut trusted, mut tells, mut once, mut namespace, mut most) = (false, false, false, None, MOST);
    let (mut options, mut own_options) = (Vec::new(), Vec::new());
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        match letter {
            't' => trusted = true,
            'v' => tells = true,
            '1' => once = true,
            'n' => namespace = Some(flags.value().unwrap_or_else(|_| synopsis(args))),
            'o' | 'O' => {
                let list = if letter == 'o' { &mut options } else { &mut own_options };
                list.push(flags.value().map(String::from).unwrap_or_else(|_| synopsis(args)));
            }
            'p' => {
                let value = flags.value().ok().and_then(|value| value.parse().ok());
                most = value.filter(|most| *most != 0).unwrap_or_else(|| synopsis(args));
            }
            _ => synopsis(args),
        }
    }
    let [address, command @ ..] = flags.rest() else { synopsis(args) };
    if command.is_empty() {
        synopsis(args);
    }
    let words = command.iter().map(|word| Some(word.as_str())).collect();
    let at = announce(&net::make_addr(address, "", ""), &own_options).map_err(|e| error!("announce {address}: {e}"))?;
    Answerer { words, trusted, namespace, most, tells, once, options: &options }.answer(&at)
}

fn synopsis(args: &Args) -> ! {
    usage(args, "[-1tv] [-n namespace] [-p calls] [-o message] [-O message] address command [arg ...]")
}
