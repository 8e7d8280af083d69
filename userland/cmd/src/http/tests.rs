//! Tests of what is said and heard.

use alloc::string::String;
use alloc::vec::Vec;

use super::*;

fn url(host: &str, port: &str, path: &str) -> Url {
    Url { secure: false, host: host.into(), port: port.into(), path: path.into() }
}

fn secure(host: &str, port: &str, path: &str) -> Url {
    Url { secure: true, ..url(host, port, path) }
}

#[test]
fn urls_are_taken_apart_and_joined() {
    for (text, is) in [
        ("http://a", url("a", "80", "/")),
        ("http://a.example:8080/x/y?q#z", url("a.example", "8080", "/x/y?q")),
        ("http://[::1]:81/", url("::1", "81", "/")),
        ("http://[fd00::2]", url("fd00::2", "80", "/")),
        ("http://a?q", url("a", "80", "/?q")),
        ("HTTP://a/X", url("a", "80", "/X")),
        ("Https://a", secure("a", "443", "/")),
        ("https://a", secure("a", "443", "/")),
        ("https://[::1]:80/x", secure("::1", "80", "/x")),
    ] {
        assert_eq!(Url::parse(text).as_ref(), Ok(&is), "{text}");
    }
    for bad in [
        "a",
        "ftp://a",
        "http://",
        "http://a:x/",
        "http://u@a/",
        "http://a!1/",
        "http://a/b c",
        "http://[::1/",
    ] {
        assert!(Url::parse(bad).is_err(), "{bad}");
    }
    let base = url("a", "81", "/x/y?q");
    assert_eq!(base.join("z"), Ok(url("a", "81", "/x/z")));
    assert_eq!(base.join("/z"), Ok(url("a", "81", "/z")));
    assert_eq!(base.join("//b/z"), Ok(url("b", "80", "/z")));
    assert_eq!(base.join("http://b:1/z"), Ok(url("b", "1", "/z")));
    assert!(request(&base).contains("GET /x/y?q HTTP/1.1\r\nHost: a:81\r\n"));
    assert!(request(&base).ends_with("\r\n\r\n"));
    // What is secret stays so.
    let base = secure("a", "443", "/x/y");
    assert_eq!(base.join("z"), Ok(secure("a", "443", "/x/z")));
    assert_eq!(base.join("//b/z"), Ok(secure("b", "443", "/z")));
    assert!(base.join("http://a/z").unwrap_err().contains("from https"));
    assert!(request(&base).contains("\r\nHost: a\r\n"));
    assert!(request(&secure("a", "80", "/")).contains("\r\nHost: a:80\r\n"));
}

/// A plain question, as it is sent.
fn request(url: &Url) -> String {
    String::from_utf8(Request::new(None, &[], None).unwrap().bytes(url)).unwrap()
}

#[test]
fn references_mean_what_they_mean_on_their_page() {
    // Of RFC 3986, section 5.4; those whose scheme is another's are not ours.
    let base = url("a", "80", "/b/c/d;p?q");
    for (reference, is) in [
        ("g", "/b/c/g"),
        ("./g", "/b/c/g"),
        ("g/", "/b/c/g/"),
        ("/g", "/g"),
        ("?y", "/b/c/d;p?y"),
        ("g?y", "/b/c/g?y"),
        ("g#s", "/b/c/g"),
        (";x", "/b/c/;x"),
        ("", "/b/c/d;p?q"),
        (".", "/b/c/"),
        ("./", "/b/c/"),
        ("..", "/b/"),
        ("../g", "/b/g"),
        ("../..", "/"),
        ("../../../g", "/g"),
        ("/./g", "/g"),
        ("/../g", "/g"),
        ("g.", "/b/c/g."),
        ("..g", "/b/c/..g"),
        ("./g/.", "/b/c/g/"),
        ("g/../h", "/b/c/h"),
        ("g?y/../x", "/b/c/g?y/../x"),
        ("g?u=http://x/y", "/b/c/g?u=http://x/y"),
    ] {
        assert_eq!(base.joined(reference), Ok(url("a", "80", is)), "{reference}");
    }
    assert_eq!(base.joined("//g"), Ok(url("g", "80", "/")));
    assert_eq!(base.joined("https://g/x"), Ok(secure("g", "443", "/x")));
    assert!(base.joined("mailto:g").is_err());
}

#[test]
fn requests_say_what_was_wanted_once() {
    let at = url("a", "80", "/x");
    let text = |request: &Request| String::from_utf8(request.bytes(&at)).unwrap();
    let new =
        |method, headers: &[&str], body: Option<&str>| Request::new(method, headers, body.map(|b| b.into()));
    let post = new(None, &["X-One: 1", "user-agent: me"], Some("a=b")).unwrap();
    assert_eq!(
        text(&post),
        "POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n\
         X-One: 1\r\nuser-agent: me\r\n\r\na=b"
    );
    assert!(post.gives() && !post.is_get() && !post.is_head());
    assert!(text(&new(Some("PUT"), &[], Some("")).unwrap()).contains("PUT /x HTTP/1.1\r\n"));
    assert!(text(&new(None, &[], Some("")).unwrap()).contains("\r\nContent-Length: 0\r\n"));
    let get = new(None, &[], None).unwrap();
    assert!(text(&get.behind(7)).contains("\r\nRange: bytes=7-\r\n"));
    assert!(text(&get.head_only()).starts_with("HEAD /x "));
    // Sent on: what was given is given again only where the server wants it so.
    for (method, code, then) in [
        ("POST", 301, "GET"),
        ("POST", 302, "GET"),
        ("POST", 303, "GET"),
        ("POST", 307, "POST"),
        ("POST", 308, "POST"),
        ("PUT", 302, "PUT"),
        ("PUT", 303, "GET"),
        ("HEAD", 303, "HEAD"),
    ] {
        let on = new(Some(method), &[], Some("body")).unwrap().sent_on(code, false);
        assert!(text(&on).starts_with(&alloc::format!("{then} ")), "{method} {code}");
        assert_eq!(on.gives(), then == method, "{method} {code}");
    }
    // Elsewhere nothing is said that is for this server alone.
    let told = new(None, &["authorization: Basic x", "Cookie: y", "Host: z", "X-One: 1"], None).unwrap();
    assert!(
        ["Basic", "Cookie", "Host: z", "X-One"]
            .iter()
            .all(|w| text(&told.clone().sent_on(302, false)).contains(w))
    );
    let on = text(&told.sent_on(302, true));
    assert!(
        on.contains("X-One: 1\r\n") && !["Basic", "Cookie", "Host: z"].iter().any(|w| on.contains(w)),
        "{on}"
    );
    let at = |text: &str| Url::parse(text).unwrap();
    let here = at("https://a.example/x");
    assert!(here.is_at(&at("https://A.example:443/y")));
    for other in ["http://a.example/x", "https://a.example:8443/x", "https://b.example/x"] {
        assert!(!here.is_at(&at(other)), "{other}");
    }
    for bad in [new(Some("A B"), &[], None), new(Some(""), &[], None), new(None, &["x"], None)] {
        assert!(bad.is_err(), "{bad:?}");
    }
    for bad in ["x y: z", ": z", "x: y\r\nz: 1", "x: y\nz: 1"] {
        assert!(new(None, &[bad], None).is_err(), "{bad:?}");
    }
}

#[test]
fn heads_say_how_bodies_end() {
    let head = |text: &str| Head::parse(text.as_bytes());
    let ok = head("HTTP/1.1 200 OK\r\nContent-Length: 12\r\nX: y").unwrap();
    assert_eq!((ok.code, ok.reason.as_str(), ok.body), (200, "OK", Body::Length(12)));
    assert_eq!(head("HTTP/1.0 200\n\r\n").unwrap().body, Body::Open);
    let chunks = head("HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\ncontent-length: 1").unwrap();
    assert_eq!(chunks.body, Body::Chunks);
    assert_eq!(head("HTTP/1.1 302 x\r\nLocation: /y").unwrap().location.as_deref(), Some("/y"));
    for bad in ["", "SSH-2.0", "HTTP/1.1", "HTTP/2 200 OK", "HTTP/1.1 200 OK\r\nContent-Length: -1"] {
        assert!(head(bad).is_err(), "{bad}");
    }
    assert!(head("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2").is_err());
    let part = head(
        "HTTP/1.1 206 x\r\nContent-Range: bytes 7-9/10\r\nContent-Length: 3\r\n\
         Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT",
    );
    let part = part.unwrap();
    assert_eq!((part.from, part.length, part.modified), (Some(7), Some(3), Some(784_111_777)));
    assert_eq!(head("HTTP/1.1 206 x\r\nContent-Range: bytes */10").unwrap().from, None);
    assert_eq!(head("HTTP/1.1 204 x\r\nTransfer-Encoding: chunked").unwrap().body, Body::Length(0));
    assert_eq!(head_end(b"a\r\n\r\nb"), Some((1, 5)));
    assert_eq!(head_end(b"a\n\nb\r\n\r\n"), Some((1, 3)));
    assert_eq!(head_end(b"a\r\n"), None);
}

/// What of a body comes out, in pieces of `step` bytes, and whether it is whole.
fn body(kind: Body, text: &[u8], step: usize) -> Result<(Vec<u8>, bool)> {
    let (mut reader, mut out) = (Reader::new(kind), Vec::new());
    for piece in text.chunks(step) {
        reader.take(&[], &mut |_| panic!("nothing is handed on"))?;
        reader.take(piece, &mut |bytes| {
            assert!(!bytes.is_empty(), "in a pipe this is the end");
            out.extend_from_slice(bytes);
            Ok(())
        })?;
    }
    Ok((out, reader.is_whole()))
}

#[test]
fn bodies_come_in_any_pieces() {
    let chunks = b"5;x=y\r\nhello\r\n1\r\n \r\n00\r\nT: x\r\n\r\nbehind";
    for step in 1..40 {
        assert_eq!(body(Body::Chunks, chunks, step), Ok((b"hello ".to_vec(), true)), "{step}");
        assert!(!body(Body::Chunks, &chunks[..14], step).unwrap().1);
        assert_eq!(body(Body::Length(5), b"hello and more", step), Ok((b"hello".to_vec(), true)));
        assert_eq!(body(Body::Open, b"hello", step), Ok((b"hello".to_vec(), false)));
    }
    for bad in [&b"x\r\n"[..], b"\r\n", b"1\r\nab\r\n", b"-1\r\n", b"11111111111111111\r\n"] {
        assert!(body(Body::Chunks, bad, 1).is_err(), "{bad:?}");
    }
    assert!(body(Body::Chunks, &[b'1'; 3000], 7).is_err());
}
