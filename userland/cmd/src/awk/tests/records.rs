//! Patterns, fields, records, files.

use super::super::{Program, Start};
use super::{Memory, STACK, fails, memory, prints, run};

#[test]
fn patterns() {
    for (program, want) in [
        ("NR==2,NR==3", "d e f\n1 2 3\n"),
        ("/d/,/2/ {print NR}", "2\n3\n5\n6\n7\n"),
        ("/nothing/,0", ""),
        ("/d/,/d/ {print NR}", "2\n5\n"),
        ("!/[a-z]/ && NF", "1 2 3\n10 20 30\n"),
        ("NF == 0 {print NR}", "6\n"),
        ("$1 ~ /^[0-9]+$/ {print $1}", "1\n10\n"),
        ("$1 !~ \"^[a-z]\" {print $1}", "1\n10\n\n"),
        ("$1 > 5 && NF == 3", "a b c\nd e f\n10 20 30\nlast line here\n"),
        ("$1 == \"d\"", "d e f\n"),
        ("length > 8", "  lead  x\nlast line here\n"),
        ("END {print NR, $0, NF}", "7 last line here 3\n"),
        ("BEGIN {n = 1} n++ == 2; END {print n}", "d e f\n8\n"),
        ("/a/ {print \"a\"; next} {n++} END {print n}", "a\na\na\n4\n"),
        ("NR == 2 {exit} END {print NR}", "2\n"),
        ("{ c[NF]++ } END { for (k in c) print k, c[k] }", "3 5\n2 1\n0 1\n"),
        ("{ s += $1 } END { print s, s / NR }", "11 1.57143\n"),
    ] {
        prints(program, &["letters"], want);
    }
}

#[test]
fn fields() {
    for (program, want) in [
        ("{print $2}", "b\ne\n2\n20\nx\n\nline\n"),
        ("{$2 = \"X\"} NR < 3", "a X c\nd X f\n"),
        ("NR == 1 {$6 = \"X\"; print; print NF}", "a b c   X\n6\n"),
        ("NR == 1 {NF = 2; print; NF = 4; print}", "a b\na b  \n"),
        ("NR == 1 {$0 = \"q r\"; print $2, NF}", "r 2\n"),
        ("NR == 5 {OFS = \"-\"; $1 = $1; print}", "lead-x\n"),
        ("NR == 1 {$3 = \"\"; print; print NF}", "a b \n3\n"),
        ("NR == 3 {print $NF - 1, $(NF - 1), $NF ^ 2, $1++, $1, -$2}", "2 2 9 1 2 -2\n"),
        ("NR == 3 {i = 1; print $i++; print i, $++i}", "1\n1 2\n"),
        ("NR == 1 {$(1) = 7; print; print $0}", "7 b c\n7 b c\n"),
        ("NR == 4 {print ($1 == 10), ($1 == \"10\"), ($1 < 9), ($1 < \"9\"), $1 < $2}", "1 1 0 1 1\n"),
        ("NR == 4 {FS = \":\"; print $2} NR == 5 {print $1}", "20\n  lead  x\n"),
        ("NR == 1 {sub(/b/, \"x y\"); print NF, $3}", "4 y\n"),
        ("NR == 1 {gsub(/[abc]/, \"<&>\"); print $2}", "<b>\n"),
        ("NR == 1 {$2 = \"\"; x = $0; $0 = x; print NF}", "2\n"),
    ] {
        prints(program, &["letters"], want);
    }
    prints("BEGIN {FS = \":\"} {print $1, $6}", &["users"], "root /root\nbin /bin\nsys /\n");
    prints("BEGIN {FS = \"[:/]+\"} {print NF, $NF}", &["users"], "6 root\n6 bin\n6 \n");
    prints("BEGIN {$3 = \"c\"; print; print NF; $0 = \"a  b\"; print NF}", &[], "  c\n3\n2\n");
    prints("BEGIN {FS = \"\"} NR == 1 {print $2, NF}", &["greek"], "β 8\n");
    fails("{$(-1) = 2}", "out of range field -1");
    fails("{$1e9 = 2}", "out of range");
    fails("{NF = -1}", "cannot set NF");
}

#[test]
fn records() {
    prints("BEGIN {RS = \"\"} {print NR, NF, $1, $NF}", &["parts"], "1 4 p1 l2\n2 4 p2 l2\n3 1 p3 p3\n");
    prints("BEGIN {RS = \"\"; FS = \":\"} {print NF, $2}", &["parts"], "2 p1 l2\n2 p2 l2\n1 \n");
    prints("BEGIN {RS = \":\"} NR < 4", &["users"], "root\nx\n0\n");
    prints(
        "BEGIN {RS = \"[0-9]+:\"} NR < 4 {print \"<\" $0 \">\"}",
        &["users"],
        "<root:x:>\n<>\n<root:/root\nbin:x:>\n",
    );
    prints("{print FILENAME, FNR, NR} FNR == 1 {nextfile}", &["users", "greek"], "users 1 1\ngreek 1 2\n");
    prints("{print x, $1}", &["x=1", "greek", "x=a\\tb", "greek"], "1 αβγ\n1 naïve\na\tb αβγ\na\tb naïve\n");
    prints("BEGIN {ARGV[1] = \"\"; delete ARGV[2]} {print $1}", &["no", "no", "greek"], "αβγ\nnaïve\n");
    prints(
        "END {print ARGC, ARGV[0], ARGV[1], ENVIRON[\"home\"], (ENVIRON[\"n\"] > 9)}",
        &["greek"],
        "2 awk greek /usr/glenda 1\n",
    );
    assert_eq!(run("{print NR \": \" $0}", &[], "x\ny").0, "1: x\n2: y\n");
    assert_eq!(run("END {print NR}", &["-"], "x\ny\n").0, "2\n");
    prints(
        "BEGIN {ORS = \"|\"; OFS = \",\"} {print $1, $2} END {printf \"\\n\"}",
        &["greek"],
        "αβγ,δε|naïve,café|\n",
    );
    assert!(
        run("1", &["nothing"], "").1.unwrap_err().contains("can't open file nothing: file does not exist")
    );
}

#[test]
fn getline_and_files() {
    for (program, want) in [
        (
            "BEGIN {while (getline x < \"users\") n++; print n; close(\"users\"); getline < \"users\"; print $1, NR}",
            "3\nroot:x:0:0:root:/root 0\n",
        ),
        ("BEGIN {print (getline x < \"nothing\"), close(\"nothing\")}", "-1 -1\n"),
        (
            "BEGIN {\"echo hi there\" | getline; print $2, NR; while (i++ < 2) \"echo a; b\" | getline; print $0, NR}",
            "there 1\nb 3\n",
        ),
        (
            "BEGIN {\"echo \" \"x y\" | getline z; print z; while (\"echo a; b\" | getline l) print \"<\" l \">\"}",
            "x y\n<a>\n<b>\n",
        ),
        (
            "BEGIN {\"echo 10\" | getline n; print n < 9, n \"\" < 9; print (\"echo 1\" | getline > 0)}",
            "0 1\n1\n",
        ),
        (
            "BEGIN {print \"abc\" | \"upper\"; print \"first\"; print close(\"upper\"); print \"last\"}",
            "first\nABC\n7\nlast\n",
        ),
        (
            "BEGIN {print \"x\" > \"f\"; print \"y\" > \"f\"; close(\"f\"); while ((getline l < \"f\") > 0) print l}",
            "x\ny\n",
        ),
        (
            "BEGIN {print \"x\" > \"f\"; close(\"f\"); print \"y\" >> \"f\"; close(\"f\"); getline l < \"f\"; print l}",
            "x\n",
        ),
        (
            "BEGIN {print \"x\" > \"f\"; fflush(\"f\"); getline l < \"f\"; print l; fflush(); print fflush(\"g\")}",
            "x\n-1\n",
        ),
        ("BEGIN {printf \"a\"; system(\"echo b\"); print system(\"exit 3\")}", "ab\n3\n"),
    ] {
        prints(program, &[], want);
    }
    let program =
        "NR == 1 {getline; print $0, NR} NR == 3 {getline v; print v, NR, $0} END {print (getline), NR}";
    prints(program, &["letters"], "d e f 2\n10 20 30 4 1 2 3\n0 7\n");
    prints(
        "BEGIN {getline; print \"got \" $1; getline x; print x; print NR}",
        &["greek"],
        "got αβγ\nnaïve café\n2\n",
    );
    prints(
        "{print > $1 \".out\"} END {getline x < \"bin.out\"; print x}",
        &["FS=:", "users"],
        "bin:x:1:1:bin:/bin\n",
    );
    let mut memory = memory("");
    let arguments = ["awk".into(), "users".into()];
    let assignments = ["x=a\\tb".into()];
    let start =
        Start { arguments: &arguments, assignments: &assignments, separator: Some(":"), stack: STACK };
    let program =
        Program::parse(b"{print $1, x > (\"out/\" $1)} END {print \"oops\" > \"/dev/stderr\"}").unwrap();
    assert_eq!(program.run(&start, &mut memory), Ok(0.0));
    assert_eq!(memory.files.get("out/bin").unwrap(), b"bin a\tb\n");
    assert_eq!((memory.complaints.as_slice(), memory.open.len()), (&b"oops\n"[..], 0));
    let start = Start { assignments: &["1x=2".into()], ..start };
    assert!(program.run(&start, &mut memory).is_err());
}

#[test]
fn what_is_not_allowed_is_said() {
    for (program, said) in [
        ("BEGIN { system(\"echo no\") }", "system: not allowed with -safe"),
        ("BEGIN { \"echo no\" | getline }", "getline from a command: not allowed with -safe"),
        ("BEGIN { while((\"echo no\" | getline x) > 0) print x }", "getline from a command: not allowed"),
    ] {
        let mut memory = Memory { safe: true, ..memory("") };
        let program = Program::parse(program.as_bytes()).unwrap();
        let ended = program.run(&Start { stack: STACK, ..Start::default() }, &mut memory);
        assert!(ended.unwrap_err().contains(said), "{said}");
        assert!(memory.printed.is_empty());
    }
}
