//! Two users of one machine, its owner and `none`, and that they are kept apart.

use super::{MOTD, motd, q35};
use crate::case::{Case, PROMPT, re};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("users/apart", q35())
            .share("host", motd)
            .chardev("c0")
            .device("virtio-serial-pci")
            .device("virtserialport,chardev=c0,name=chat")
            .line("cat /dev/user; echo; none cat /dev/user; echo; none none cat /dev/user")
            .is("glenda\nnone\nnone")
            .connects("c0")
            .line("none rc -c 'echo -n glenda >/dev/user'")
            .gives("permission denied")
            // What the owner keeps for himself.
            .line(
                "none rc -c 'for(f in cons consctl kmesg reboot sysstat sysname time virtcon/by-name/chat) \
                 @{echo x >/dev/$f && echo $f is open}; echo done'",
            )
            .gives(re("(?s)permission denied.*done\n$"))
            // A process, its notes and its memory.
            .line("sleep 1000 & victim=$apid")
            .is("")
            .line(
                "none rc -c 'for(f in args ctl mem note noteid notepg regs) \
                 @{echo kill >/proc/$victim/$f && echo $f is open}; cat /proc/$victim/mem; echo done'",
            )
            .gives(re("(?s)permission denied.*done\n$"))
            .line("cat /proc/$victim/status >/dev/null && echo lives; echo kill >/proc/$victim/ctl; wait")
            .gives("lives\n")
            // Files in /tmp and /srv.
            .line("echo mine >/tmp/mine; echo all >/tmp/all; chmod 600 /tmp/mine; chmod 666 /tmp/all")
            .is("")
            .line(
                "none rc -c 'cat /tmp/mine; @{echo x >/tmp/mine}; rm /tmp/all; mv /tmp/all /tmp/his; \
                 echo his >/tmp/his; cat /tmp/his; echo done'",
            )
            .gives(re("(?s)permission denied.*his\ndone\n$"))
            .line("cat /tmp/mine /tmp/all /tmp/his; ls -l /tmp/his; rm /tmp/mine /tmp/all /tmp/his")
            .gives(re("^mine\nall\nhis\n.* none glenda "))
            .line("srv -q -e 'ramfs -i' mine; chmod 600 /srv/mine; none cat /srv/mine; none rm /srv/mine; ls /srv/mine")
            .gives("permission denied")
            .gives("/srv/mine\n")
            .line("mount -c -d '#9' /dev/null /mnt host; none cat /mnt/motd; rm /srv/mine; echo still here")
            .is(format!("{MOTD}still here\n"))
            .never(re("(?m)^[a-z0-9/-]+ is open$")),
        // Nothing that nobody does stays in the name space, the environment or the servers of who called.
        Case::new("users/own-groups", q35())
            .line("none rc -c 'mkdir /tmp/t; bind -b /tmp/t /bin; path=/tmp/t; fn ls {echo bad ls}; left=x'")
            .is("")
            .line("ns | grep /tmp/t; echo $path; rc -c 'ls -d /env/left'")
            .is("/bin .\nls: /env/left: '/env/left' file does not exist\n")
            .line("none cat /srv/slashn; none dd -if /dev/zero -of /srv/slashn -trunc 0 -count 1; ls -d /n/another")
            .gives("error reading /srv/slashn: inappropriate use of fd")
            .gives(re("^/n/another$"))
            .never(re("records out\n.*/n/another"))
            .line("none rc -c 'for(i in `{seq 1100}) echo 0 >/srv/e$i' >[2]/dev/null; ls /srv | grep -c '/e[0-9]'")
            .is("1000\n")
            .line("rm /srv/e*; ls -p /srv")
            .is("cs\nmntgen\nslashn\n"),
        // Hundreds of processes of another user's, which are ever new ones, are not in the way of the console. (That
        // one of them is killed may be said between the characters of a typed line.)
        Case::new("users/swarm", q35().memory_mib(256))
            .line("none rc -c 'fn x {x& x&}; while() x' >[2]/dev/null &")
            .types("sleep 8\n")
            .sees(PROMPT)
            .types("/bin/echo here^' it is'\n")
            .sees("here it is")
            .sees(PROMPT)
            .types("ps | wc -l\n")
            .sees(re("(?m)^ *[0-9]+$"))
            .sees(PROMPT)
            .types("/bin/echo and^' there'\n")
            .sees("and there")
            .budget(120),
        // What runs in the background has its share beside commands of the console's that compute, though each of them
        // ends in its first turn.
        Case::new("users/background", q35())
            .line("l=`{seq 30}; {for(i in $l) for(j in $l) for(k in $l) ~ x y; echo >/tmp/ended} &")
            .line("while(! test -f /tmp/ended) sum /bin/rc >/dev/null; echo ended")
            .gives("ended\n")
            .budget(60),
    ]
}
