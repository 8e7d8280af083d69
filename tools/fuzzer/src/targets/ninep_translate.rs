//! Any reply and any directory data through the rows of the translation table: no panic, and what comes out is
//! fit for programs.

use ninep::translate::ids::Ids;
use ninep::translate::{errors, list, names, version, walk, wstat};
use ninep::{Dialect, Rmsg, Str};

/// Tries these bytes.
pub fn run(bytes: &[u8]) {
    let ids = Ids::new();
    for dialect in Dialect::ALL {
        for file in list::Listing::new(dialect, bytes, &ids).flatten() {
            assert!(!matches!(file.dir.name.as_str(), "" | "." | ".."));
            if dialect == Dialect::U {
                assert!(!file.dir.name.contains('/'));
                assert_eq!(file.dir.mode & !(abi::DMDIR | 0o777), 0);
                assert_eq!(file.dir.is_dir(), file.dir.qid.is_dir());
                let record = file.dir.to_bytes();
                if file.dir.size() < 65535 {
                    assert_eq!(abi::Dir::parse(&record).map(|(d, _)| d), Ok(file.dir.clone()));
                }
                let _ = wstat::plan(&file.dir, &file, &ids);
            }
        }
        for request in [100, 110, 116] {
            if let Err(text) = errors::reply(dialect, 0, request, bytes) {
                assert!(!text.is_empty() && text.len() < abi::ERRMAX);
            }
        }
        if let Ok((_, reply)) = Rmsg::decode(dialect, bytes) {
            let _ = version::accept(dialect, 8192, &reply);
            if let Rmsg::Walk { qids } = reply {
                let _ = walk::outcome(3, qids, abi::Qid::dir(1));
            }
        }
    }
    let mut entries = list::Names::new(bytes);
    for entry in entries.by_ref().flatten() {
        assert!(names::check(&entry.name).is_ok() || entry.name.len() > names::NAME_MAX);
    }
    let path = [String::from("a"), String::from("b"), String::from("c")];
    if let Ok(next) = walk::Links::default().follow(&path, 1, Str(bytes)) {
        assert!(next.names.iter().all(|n| !n.contains('/') && n != "." && !n.is_empty()));
    }
    assert!(!names::last(Str(bytes)).is_empty());
    if let Ok(text) = core::str::from_utf8(bytes) {
        let _ = version::Spec::parse(text);
        if let Ok(sent) = names::check(text) {
            assert!(!sent.is_empty() && !sent.contains(&b'/') && &*sent != b"." && &*sent != b"..");
        }
    }
}
