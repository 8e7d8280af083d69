//! The scripts that bring the machine up, run as they are.

use crate::fake::{Fake, Typed};
use crate::{put, rc_in, world};

/// What termrc does.
const TERMRC: &str = "bind -c #R /tmp\nmntgen -s slashn\nchmod 666 /srv/slashn\nmntgen -s mntgen /mnt\nchmod 666 \
    /srv/mntgen\nndb/cs -s cs\nchmod 666 /srv/cs\n";

/// Runs init with these variables from the kernel's command line; what is shown, and what was written to /dev/reboot.
fn boot(variables: &[(&str, &[u8])], typed: &[Typed]) -> (String, String) {
    let world = world();
    for dir in ["/usr/glenda", "/usr/glenda/lib", "/rc/bin"] {
        world.dirs.lock().unwrap().insert(dir.into());
    }
    put(&world, "/rc/bin/init", include_str!("../../../../boot/root/rc/bin/init"), true);
    put(&world, "/rc/bin/termrc", include_str!("../../../../boot/root/rc/bin/termrc"), true);
    put(&world, "/lib/namespace", include_str!("../../../../boot/root/lib/namespace"), false);
    put(
        &world,
        "/usr/glenda/lib/profile",
        include_str!("../../../../boot/root/usr/glenda/lib/profile"),
        false,
    );
    put(&world, "/adm/timezone/local", "GMT 0 GMT 0\n", false);
    put(&world, "/dev/user", "glenda", false);
    put(&world, "/dev/sysname", "elwood", false);
    world.typed.lock().unwrap().extend(typed.iter().cloned());
    let mut os = Fake::new(world);
    for (name, value) in variables {
        os.setenv(name, value);
    }
    let world = os.world.clone();
    let (shown, _) = rc_in(os, &["/rc/bin/init"]);
    let reboot = world.files.lock().unwrap().get("/dev/reboot").map(|f| f.0.lock().unwrap().clone());
    (shown, String::from_utf8(reboot.unwrap_or_default()).unwrap())
}

#[test]
fn a_prompt() {
    let typed =
        [Typed::Text("pwd; args $user $home $path $sysname $objtype $service\n"), Typed::Text("exit odd\n")];
    let (shown, reboot) = boot(&[], &typed);
    let (binds, rest) = shown.split_once("term% ").unwrap();
    assert!(
        binds.starts_with("bind #c /dev\n") && binds.ends_with(&format!("bind -a /rc/bin /bin\n{TERMRC}")),
        "{binds}"
    );
    assert_eq!(rest, "/usr/glenda\n<glenda></usr/glenda></bin><.><elwood><amd64><terminal>\nterm% ");
    assert_eq!(reboot, "halt", "leaving the prompt is no failure");
}

#[test]
fn a_command() {
    let (shown, reboot) = boot(&[("init", b"x='a b'; echo $#x $x\0")], &[]);
    assert!(shown.ends_with(&format!("/bin\n{TERMRC}1 a b\n")), "{shown}");
    assert_eq!(reboot, "halt");
    let (shown, reboot) = boot(&[("init", b"status bad; exit worse\0")], &[]);
    assert!(shown.contains("init: exit status: rc ") && shown.ends_with(": worse\n"), "{shown}");
    assert_eq!(reboot, "halt fail");
    let (_, reboot) = boot(&[("init", b"nosuch\0")], &[]);
    assert_eq!(reboot, "halt fail");
}

#[test]
fn mounts() {
    let mounts = b"one:/n/one\0two:9P2000.L:65536:/n/two\0absent:/n/x\0nowhere\0bad:x\0";
    let (shown, reboot) = boot(&[("mount", mounts), ("init", b"echo up\0")], &[]);
    for want in [
        "mount -d #9 -c /dev/null /n/one one\n",
        "mount -d #9 -c /dev/null /n/two two:9P2000.L:65536\n",
        "init: mount=absent:/n/x failed\n",
        "init: mount=nowhere: not tag:/where\n",
        "init: mount=bad:x: not tag:/where\n",
        "up\n",
    ] {
        assert!(shown.contains(want), "{want} is not in {shown}");
    }
    assert_eq!(reboot, "halt");
}

#[test]
fn an_interrupt_does_not_end_the_machine() {
    let typed = [Typed::Text("interrupted\n"), Typed::Text("whatis sigint; echo on\n")];
    let (shown, reboot) = boot(&[], &typed);
    assert!(shown.ends_with("term% sigint: not found\non\nterm% "), "{shown}");
    assert_eq!(reboot, "halt");
}
