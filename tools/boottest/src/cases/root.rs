//! The root is another tree: a small Plan 9 of our own in a folder of the host, with the programs of the kernel's root,
//! whole and with whatever of it is missing or wrong.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use vm::{Board, Share, Vm};

use super::{Dialect, q35};
use crate::case::{Case, End, Fill, re};

/// The archive in the kernel, of which the programs are taken.
const ARCHIVE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../build/root.tar");

/// As 9front's, without what only the network has.
const NAMESPACE: &str = "\
# kernel devices
bind #c /dev
bind #d /fd
bind -c #e /env
bind #p /proc
bind -c #s$srvspec /srv
bind -q #\u{3c3} /shr
bind -a #\u{a4} /dev

# root
mount -C /srv/boot /root $rootspec
bind -a $rootdir /

mount -a /srv/slashn /n
mount -a /srv/slashmnt /mnt
mount -a /srv/mntexport /mnt/exportfs
bind /$cputype/bin /bin
bind $rootdir/rc /rc
bind -a /rc/bin /bin
bind -c /usr/$user/tmp /tmp
cd /usr/$user
. /lib/namespace.local
";

/// Does what Plan 9's init does: builds the name space, and runs a shell or a command, again and again.
const INIT: &str = "\
#!/amd64/bin/rc -m/rc/lib/rcmain
echo the init of the tree: $1 $service
run='. /rc/bin/termrc; rc -i'
if(! ~ $#2 0) run=$2
while(){
	newns -n /lib/namespace rc -c $run
	echo init: again
	run='rc -i'
}
";

/// What Plan 9 authenticates with, which its own boot starts.
const FACTOTUM: &str =
    "#!/amd64/bin/rc -m/rc/lib/rcmain\necho the agent of the tree: $* `{ls /dev/caphash}\n";

const TERMRC: &str = "echo the termrc of the tree\nprompt=('term% ' '\t')\n";

/// A tree with everything.
fn whole(folder: &Path) -> Result<()> {
    for dir in
        ["amd64/bin/auth", "rc/bin", "rc/lib", "lib", "sys", "tmp", "n", "usr/glenda/lib", "usr/glenda/tmp"]
    {
        fs::create_dir_all(folder.join(dir))?;
    }
    let archive = fs::File::open(ARCHIVE).with_context(|| format!("{ARCHIVE}, which 'make' makes"))?;
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        if path.parent() == Some(Path::new("bin")) {
            // Commands are names of one program.
            let place = |path: &Path| folder.join("amd64").join(path);
            match entry.link_name()? {
                Some(other) => fs::hard_link(place(&other), place(&path))?,
                None => drop(entry.unpack(place(&path))?),
            }
        } else if path == Path::new("rc/lib/rcmain") {
            entry.unpack(folder.join(&path))?;
        }
    }
    let scripts = [("amd64/init", INIT), ("amd64/bin/auth/factotum", FACTOTUM)];
    for (name, text) in [("lib/namespace", NAMESPACE), ("rc/bin/termrc", TERMRC)].iter().chain(&scripts) {
        fs::write(folder.join(name), text)?;
    }
    for (name, _) in scripts {
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755))?;
    }
    fs::write(folder.join("lib/motd"), "of the tree\n")?;
    // What a host may have in it. Nobody follows it out of the tree.
    Ok(symlink("/etc/passwd", folder.join("lib/out"))?)
}

/// The same without some of it.
fn without(missing: &'static [&'static str]) -> impl Fn(&Path) -> Result<()> + Send + Sync {
    move |folder| {
        whole(folder)?;
        for name in missing {
            fs::remove_file(folder.join(name))?;
        }
        Ok(())
    }
}

/// The same with this text in one of its files.
fn with(name: &'static str, text: &'static [u8]) -> impl Fn(&Path) -> Result<()> + Send + Sync {
    move |folder| {
        whole(folder)?;
        fs::write(folder.join(name), text)?;
        Ok(fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755))?)
    }
}

pub fn cases(d: Dialect) -> Vec<Case> {
    vec![
        whole_plan9(d.case("root/whole", q35()), d),
        d.case("root/no-init", q35())
            .share("root", without(&["amd64/init", "lib/namespace"]))
            .append(&format!("root=root{}", d.spec))
            .sees("the termrc of the tree")
            .line("cat /lib/motd; pwd; cmp /bin/ls /amd64/bin/ls; ls /rc/bin")
            .is("of the tree\n/usr/glenda\n/rc/bin/termrc\n")
            .line(">/usr/glenda/new; rm /usr/glenda/new; >/tmp/x; ls /tmp")
            .is("/tmp/x\n")
            .types("exit\n")
            .ends(End::Exits(0))
            .pinned(),
    ]
}

/// Its own init, name space, shell and programs, from the kernel's own files to nothing of them.
fn whole_plan9(case: Case, d: Dialect) -> Case {
    case.share("root", whole)
        .share("other", super::motd)
        .append(&format!("root=root{} service=terminal", d.spec))
        .sees("the agent of the tree: -n -s factotum /dev/caphash")
        .sees("the init of the tree: -t terminal")
        .sees("the termrc of the tree")
        // A shell knows by the name of what it reads that somebody types.
        .line("grep cons /proc/$pid/fd | sed 's/.* //'")
        .gives("/dev/cons\n/dev/cons\n/dev/cons\n")
        .never("#c/cons")
        .line("ns")
        .is("bind '#c' /dev\nbind '#d' /fd\nbind -c '#e' /env\nbind '#p' /proc\nbind -c '#s' /srv\n\
             bind '#σ' /shr\n\
             bind -a '#¤' /dev\nmount -C /srv/boot /root\nbind -a /root /\nbind /amd64/bin /bin\nbind /root/rc /rc\n\
             bind -a /rc/bin /bin\nbind -c /usr/glenda/tmp /tmp\ncd /usr/glenda\n")
        .line("cat /lib/motd; ls /lib; cmp /bin/cat /amd64/bin/cat; pwd; echo $home $user $cputype $rootdir $sysname")
        .gives("of the tree\n/lib/motd\n")
        .gives("/usr/glenda\n/usr/glenda glenda amd64 /root elwood\n")
        .line("cat /lib/out; ls /sys/man /adm; echo here >/usr/glenda/tmp/new; cat /tmp/new")
        .gives("'/sys/man' file does not exist")
        .gives("here\n")
        .never("root:x:0")
        .check(|w| {
            let text = fs::read_to_string(w.folder("root")?.join("usr/glenda/tmp/new"))?;
            ensure!(text == "here\n", "the host's file has {text:?}");
            Ok(())
        })
        // Name spaces that begin anew have the same root; other shares are posted, and have one tree each.
        .line("newns rc -c 'cat /lib/motd /tmp/new'; ls /srv")
        .is("of the tree\nhere\n/srv/boot\n/srv/other\n/srv/root\n")
        .line("mount /srv/other /mnt && cat /mnt/motd; mount /srv/boot /mnt x; cat /srv/boot")
        .gives(super::MOTD)
        .gives("bad attach specifier")
        .gives("permission denied")
        .line("cat '#P/mtags' | sed 's/:[0-9]+:[0-9]+$//'")
        .is(format!("root:{0}\nother:9P2000.u:131096\n", d.version))
        // The shell of a terminal comes again, as Plan 9's does.
        .types("exit\n")
        .sees("init: again")
        .types("echo -n halt >/dev/reboot\n")
        .ends(End::Exits(0))
}

/// Whatever is wrong is told, and the machine is its owner's all the same.
pub fn other_cases() -> Vec<Case> {
    let ours = |case: Case| {
        case.sees("bootroot: the shell is that of the kernel's own root")
            .line("pwd; cat /dev/sysname")
            .is("/usr/glenda\nelwood")
            .types("exit\n")
            .ends(End::Exits(0))
            .pinned()
    };
    let wrong = |name: &str, fill: Fill, root: &str, why: &str| {
        let case = Case::new(format!("root/{name}"), q35()).share("root", fill).append(root);
        // It is told once.
        ours(case.sees(why).never("has ended: bootroot"))
    };
    let mut cases = vec![
        wrong(
            "no-share",
            Box::new(whole),
            "root=nosuch",
            "root=nosuch: no such share: 'nosuch' bad attach specifier",
        ),
        wrong("no-word", Box::new(whole), "root='a!b'", "root=a!b: not TAG, FILE or SERVER!FILE"),
        wrong(
            "no-disk",
            Box::new(whole),
            "root=/dev/sdF0",
            "root=/dev/sdF0: '/dev/sdF0' file does not exist",
        ),
        wrong("empty", Box::new(|_: &Path| Ok(())), "root=root", "no Plan 9: it has neither /amd64/bin nor"),
        wrong(
            "other-processor",
            Box::new(|folder: &Path| Ok(fs::create_dir_all(folder.join("386/bin"))?)),
            "root=root",
            "root=root: no programs for amd64, but for 386",
        ),
        wrong(
            "other-shell",
            Box::new(with("amd64/bin/rc", b"\0\0\x01\xeb and so on")),
            "root=root",
            "root=root: /amd64/bin/rc cannot run: it is a program for 386",
        ),
        wrong(
            "no-shell",
            Box::new(without(&["amd64/bin/rc"])),
            "root=root",
            "it has /amd64/init and no /amd64/bin/rc",
        ),
        wrong(
            "init-dies",
            Box::new(with("amd64/init", b"#!/amd64/bin/rc -m/rc/lib/rcmain\nexit oops\n")),
            "root=root",
            "root=root has ended: init 2: oops",
        ),
        wrong(
            "init-is-text",
            Box::new(with("amd64/init", b"no program at all")),
            "root=root",
            "root=root: /amd64/init cannot run: it is no program",
        ),
    ];
    cases.push(from_a_disk("disk", "root='kfs!/dev/sdF0/data -x y'", true));
    cases.push(ours(from_a_disk("disk-silent", "root='kfs!/dev/sdF0/data -x y'", false)));
    cases.push(ours(
        from_a_disk("disk-unknown", "root=/dev/sdF0", true).sees("no partition of /dev/sdF0 has a known"),
    ));
    cases.push(ours(
        from_a_disk("disk-no-server", "root=hjfs!/dev/sdF0/data", true).sees("no file server hjfs: "),
    ));
    let command = |name: &str, command: &str, status| {
        let case = Case::new(format!("root/{name}"), q35()).share("root", whole).append("root=root");
        case.init(command).ends(End::Exits(status)).pinned()
    };
    cases.push(command("init-works", "cat /lib/motd", 0).sees("of the tree\n"));
    // No termrc has made the directories to mount on.
    cases.push(
        command("init-mounts", "ls -d /n/any /mnt/any /mnt/exportfs/any; ls -l /srv/slashmnt", 0)
            .sees("/mnt/any\n/mnt/exportfs/any\n/n/any\n--rw-rw-rw- "),
    );
    cases.push(command("init-fails", "echo its; exit bad", 1).sees(re("init: exit status: .*bad")));
    cases.push(
        command("init-nowhere", "echo never here", 1)
            .append("root=gone")
            .sees("no root: ")
            .never("never here\n"),
    );
    cases.push(
        Case::new("root/read-only", Vm::new(Board::Pc))
            .share_as(Share::new("root", "").readonly(), without(&["amd64/init"]))
            .append("root=root")
            .sees("the termrc of the tree")
            .line("echo kept >/tmp/x; cat /tmp/x; >/usr/glenda/y")
            .gives("kept\n")
            .gives(re("/usr/glenda/y.*(read.only|permission denied)"))
            .line("cat /lib/motd")
            .is("of the tree\n"),
    );
    // The tree has nothing that gives the card an address.
    let card = |name: &str| {
        super::net::carded(name, with("lib/namespace.local", b"bind -a #l /net\nbind -a #I /net\n"), "root")
            .append("root=root")
    };
    cases.push(
        card("root/network")
            .sees("the termrc of the tree")
            .line("while(! grep -s '^ip=10.0.2.15 ' /net/ndb) sleep 1; grep 10.0.2.15 /net/ipselftab; echo x$#net")
            .gives("10.0.2.15")
            .gives("x0\n"),
    );
    cases.push(
        card("root/network-by-word")
            .append("net='-g 10.0.2.2 ether /net/ether0 10.0.2.77 255.255.255.0'")
            .sees("the termrc of the tree")
            .line("while(! grep -s 10.0.2.77 /net/ipselftab) sleep 1; grep '^0.0.0.0' /net/iproute")
            .gives("10.0.2.2"),
    );
    cases.push(
        Case::new("root/boot-with-arguments", q35().debug_exit())
            .append("boot='/bin/echo first ''and second'' third'")
            .sees("first and second third\n")
            .sees("boot: /bin/echo has ended")
            .ends(End::Fails)
            .pinned(),
    );
    cases
}

/// What stands on the disk: how the tree is made.
const RECIPE: &str = "\
mkdir lib rc rc/bin usr usr/glenda usr/glenda/tmp tmp amd64 amd64/bin
cp /boot/bin/cat /boot/bin/rc amd64/bin
echo bind '#c' /dev >lib/namespace
echo bind -c '#e' /env >>lib/namespace
echo bind -c '#s' /srv >>lib/namespace
echo mount -c /srv/boot /root '$rootspec' >>lib/namespace
echo bind -ac '$rootdir' / >>lib/namespace
echo bind '/$cputype/bin' /bin >>lib/namespace
echo from the disk >lib/motd
";

/// A disk and a file server for it. That is a program of the tree, so it comes in an archive; here it
/// is a script, whose tree is in memory, made as the disk says.
fn from_a_disk(name: &str, root: &str, serves: bool) -> Case {
    const KFS: &str = "\
#!/boot/bin/rc -m/boot/rc/lib/rcmain
if(! ~ $1^$2 '-s-f' || ! ~ $4^$5 '-xy') exit 'wrong words'
ramfs -m /mnt -c -u
cd /mnt
dd -if $3 -bs 512 -quiet 1 | sed '/^#end/q' >/env/recipe
rc -m/boot/rc/lib/rcmain /env/recipe >[2]/dev/null
exec exportfs -r /mnt
";
    const SILENT: &str = "#!/boot/bin/rc -m/boot/rc/lib/rcmain\necho kfs waits >[1=2]\nsleep 1000\n";
    let mut disk = vec![0; 1 << 20];
    let text = format!("{RECIPE}#end\n");
    disk.splice(..text.len(), text.bytes());
    let case = Case::new(format!("root/{name}"), q35())
        .disk("d0", disk, "file=", "")
        .overlay(&[("bin/kfs", if serves { KFS } else { SILENT })])
        .append(root)
        .pinned();
    match (name, serves) {
        ("disk", _) => case
            .line("cmp /bin/cat /root/amd64/bin/cat; cat /lib/motd; ls /srv")
            .is("from the disk\n/srv/boot\n")
            .line("pwd; echo new >/usr/glenda/new; cat /root/usr/glenda/new")
            .is("/usr/glenda\nnew\n"),
        (_, false) => case.sees("kfs waits\n").types("\x7f"),
        _ => case,
    }
}
