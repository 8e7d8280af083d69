//! Notes: interrupts at the prompt and in commands, functions that catch them.

use crate::fake::Typed;
use crate::{check, run, session};

#[test]
fn an_interrupt_comes_back_to_the_prompt() {
    let t = |s: &'static str| Typed::Text(s);
    let (shown, _) = session(&[t("interrupted; echo no\n"), t("echo $status\n"), t("echo on\n")]);
    assert_eq!(shown, "% % interrupted 2: interrupt\n% on\n% ");
    let (shown, _) = session(&[t("while() interrupted\n"), t("echo on\n")]);
    assert_eq!(shown, "% % on\n% ");
    let (shown, _) = session(&[t("fn f {interrupted; echo no}; f | cat; echo no\n"), t("echo on\n")]);
    assert!(shown.ends_with("% on\n% "), "{shown}");
    // In the middle of a command the line is forgotten.
    let (shown, _) = session(&[t("for(i in a)\n"), t("ech"), Typed::Interrupt, t("echo on\n")]);
    assert_eq!(shown, "% > \n% on\n% ");
}

#[test]
fn an_interrupt_before_a_line_is_typed_drops_no_line() {
    let t = |s: &'static str| Typed::Text(s);
    let (shown, _) = session(&[t("echo a\n"), Typed::EarlyInterrupt, t("echo on\n")]);
    assert_eq!(shown, "% a\n% \n% on\n% ");
    let (shown, _) = session(&[t("fn sigint {echo caught}\n"), Typed::EarlyInterrupt, t("echo on\n")]);
    assert_eq!(shown, "% % \ncaught\n% on\n% ");
}

#[test]
fn a_script_ends() {
    assert_eq!(run("post interrupt; echo no"), ("".into(), "interrupt".into()));
    assert_eq!(run("post hangup; echo no"), ("".into(), "hangup".into()));
    assert_eq!(run("post term; echo no").1, "term");
    assert_eq!(run("interrupted; echo no").1, "interrupted 2: interrupt");
}

#[test]
fn functions_catch_notes() {
    check("fn sigint {echo caught $1}; fn f {post interrupt; echo on}; f x", "caught x\non\n");
    check("fn sigalrm {echo alarm}; post alarm; echo on", "alarm\non\n");
    check("fn sighup {echo hup; exit h}; post hangup; echo no", "hup\n");
    check("fn sigterm {}; post term; echo on", "on\n");
    check("fn sigint {}; status x; post interrupt; args $status", "<>\n");
    check("fn sigint {status y}; interrupted; echo $status", "interrupted 2: interrupt\n");
    check("fn sigint {echo a}; fn sigint; post interrupt; echo no", "");
}

#[test]
fn sigexit_runs_last() {
    check("fn sigexit {echo bye}; echo work", "work\nbye\n");
    check("fn sigexit {echo bye $status}; exit x; echo no", "bye x\n");
    check("fn sigexit {echo bye}; @{echo sub}; echo a | cat", "sub\na\nbye\n");
    assert_eq!(run("fn sigexit {exit other}; exit x").1, "other");
    assert_eq!(run("fn sigexit {true}; exit x").1, "x");
    check("fn sigexit {echo bye}; echo $x^y", "rc: null list in concatenation\nbye\n");
    check("fn sigexit {echo bye}; post term; echo no", "bye\n");
}
