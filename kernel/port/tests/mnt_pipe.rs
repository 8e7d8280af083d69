//! `#9` over a channel: the stories of files and links once more, with the server behind a pipe, in both dialects.
//! Programs must not notice.
#![allow(clippy::duplicate_mod, reason = "each story brings its own `wire`")]

#[path = "."]
mod dotu {
    #[path = "mnt_files.rs"]
    mod files;
    #[path = "mnt_links.rs"]
    mod links;
}

#[path = "."]
mod dotl {
    #[path = "mnt_files.rs"]
    mod files;
    #[path = "mnt_links.rs"]
    mod links;
}
