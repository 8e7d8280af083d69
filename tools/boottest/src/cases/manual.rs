//! The manual in the guest: man, lookman, and the pager.

use super::q35;
use crate::case::{Case, PROMPT, re};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("manual/pages", q35())
            // A pipe is no console, so nobody is waited for.
            .line("man ls | sed 4q")
            .is("LS(1)\n\nNAME\n\tls, lc - list files\n")
            .line("man -w ls; man -w 3 phantom; man -w mv; man -w mtags 0intro")
            .is("/sys/man/1/ls\n/sys/man/3/phantom\n/sys/man/1/cp\n/sys/man/3/phantom\n\
                 /sys/man/2/0intro\n/sys/man/5/0intro\n")
            .line("man -w srv; man -w 1 3 srv; man -w a.out program! .")
            .is("/sys/man/1/srv\n/sys/man/3/srv\n/sys/man/1/srv\n/sys/man/3/srv\n\
                 /sys/man/6/a.out\n/sys/man/2/lib9\n/sys/man/1/rc\n")
            .line("man 3 ls; man nothing; echo $status")
            .gives(re("^man: no page ls\nman: no page nothing\nman [0-9]+: not found\n$"))
            .line("man; echo $status")
            .gives(re("^usage: man .*\nman [0-9]+: usage\n$"))
            // Every page is in the index, but for those that only send on to another.
            .line("cd /sys/man; index=`{cat index}; for(f in [1-8]/*) if(! ~ $f^: $index) echo $f")
            .is("1/9fs\n1/bunzip2\n1/bzip2\n1/dircp\n1/fcp\n1/g\n1/gunzip\n1/lc\n1/merge3\n1/mount\n1/mv\n\
                 1/pstree\n1/psu\n1/sha1sum\n1/slay\n1/telnet\n\
                 1/unmount\n1/unzip\n1/zip\n4/c:\n8/csquery\n8/listen1\n8/query\n"),
        Case::new("manual/words", q35())
            .line("man -k LIST processes; man -k nothing-has-this; echo $status")
            .gives(re("^man 1 ps # ps psu pstree - list processes\nman: nothing about nothing-has-this\n\
                       man [0-9]+: not found\n$"))
            .line("lookman mtags msize pid.cache; echo $status")
            .is("man 3 phantom # phantom mtags - servers of 9P2000.u and 9P2000.L: folders of the host, \
                 through QEMU's virtio-9p, and any server behind a channel\n\n")
            .line("lookman mtags nothing-has-this; echo $status")
            .gives(re("^lookman: no page has mtags nothing-has-this\nlookman [0-9]+: not found\n$")),
        // On the console, which is what is typed at and looked at.
        Case::new("manual/pager", q35())
            .sees(PROMPT)
            .types("man ls\n")
            .sees("NAME\n\tls, lc - list files\n")
            .sees("\t    -r  in reverse")
            .types("!echo so far\n")
            .sees("!echo so far\nso far\n!\n")
            .types("\n")
            .sees("\n\t    -s  size in kilobytes\n")
            .sees("SEE ALSO\n\tchmod(1), stat(2)\n")
            .sees(PROMPT)
            .types("man man ls\n")
            .sees("MAN(1)\n")
            .types("q\n")
            .sees(PROMPT)
            .types("p -3 /lib/namespace\n")
            .types("q\n")
            .sees(PROMPT)
            .line("f=(/lib/namespace /lib/namespace); if(~ `{p -3 $f | wc -l} `{cat $f | wc -l}) echo all of both")
            .is("all of both\n")
            .line("p /nothing; echo $status; p -x")
            .gives(re("^p: can't open /nothing: .*does not exist\np [0-9]+: errors\nusage: p ")),
    ]
}
