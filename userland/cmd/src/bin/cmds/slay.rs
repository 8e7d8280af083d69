//! slay name ...: print the commands that end the user's processes that run these programs by their control files,
//! whatever they do about notes. `slay rc | rc` does it.

use lib9::{Args, Result};

pub fn main(args: &Args) -> Result<()> {
    super::kill::commands(args, Some("ctl"))
}
