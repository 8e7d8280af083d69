//! Certificates that are known by their thumbprints, and files of authorities.

use crate::trust::line;

use super::*;

fn parse(text: &str) -> Result<Thumbprints, String> {
    Thumbprints::parse(text, &mut |name| match name {
        "/more" => Ok("#include /more".into()),
        "/some" => Ok(format!("x509 sha1={}", "ab".repeat(20))),
        _ => Err(format!("{name}: file does not exist")),
    })
}

/// Whether who trusts so talks with the server.
fn meets(world: &World, way: Way, excluded: Thumbprints) -> Result<(), String> {
    let config = config::client(random, now, Trust { way, excluded }, None).unwrap();
    let mut client = End::client(config, "another.name").unwrap();
    carry(&mut client, &mut world.server(able(None, None), BOTH), 4096)?;
    assert!(client.is_ready());
    Ok(())
}

#[test]
fn a_certificate_that_is_known_needs_no_authority() {
    let world = world(p256(), |_| {});
    let known = parse(&line(world.certificate.der())).unwrap();
    let other = parse(&line(world.authority.der())).unwrap();
    assert_eq!(meets(&world, Way::Known(known.clone()), Thumbprints::default()), Ok(()));
    let why = meets(&world, Way::Known(other.clone()), Thumbprints::default()).unwrap_err();
    assert_eq!(why, format!("its certificate is not known: {}", line(world.certificate.der())));
    let why = meets(&world, Way::Known(known.clone()), known).unwrap_err();
    assert_eq!(why, "its certificate is one of the excluded");
    assert!(meets(&world, Way::Known(Thumbprints::default()), Thumbprints::default()).is_err());
}

#[test]
fn sums_are_of_two_kinds_and_written_in_two_ways() {
    use base64ct::{Base64, Base64Unpadded, Encoding};
    use rcgen::PublicKeyData;
    use sha1::Sha1;
    use sha2::{Digest, Sha256};

    let world = world(p256(), |_| {});
    let bytes = world.certificate.der();
    let hex = |sum: &[u8]| sum.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
    let (old, new) = (Sha1::digest(bytes), Sha256::digest(bytes));
    let key = Sha256::digest(world.key.subject_public_key_info());
    for text in [
        format!("x509 sha1={} cn=*.example", hex(&old)),
        format!("ssh sha256=x\n\n# a word\n  x509 sha256={}", hex(&new)),
        format!("x509 sha256={}", Base64::encode_string(&new)),
        format!("x509 sha256={} cn='a b'", Base64Unpadded::encode_string(&new)),
        format!("#include /some\nx509 sha256={}", hex(&key)),
    ] {
        assert!(parse(&text).unwrap().has(bytes), "{text}");
        assert!(!parse(&text).unwrap().has(world.authority.der()), "{text}");
    }
    assert!(!parse("#include /some").unwrap().has(bytes));
    for bad in ["x509", "x509 sha1=ab", "x509 md5=00", "x509 sha256=!", "#include /none", "#include /more"] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn files_of_authorities() {
    let world = world(p256(), |_| {});
    let pem = world.authority.pem();
    let odd = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert_eq!(anchors(format!("# a word\n{odd}{pem}\n{pem}").as_bytes()).unwrap().len(), 2);
    for bad in ["", "no PEM", odd, RSA] {
        assert!(anchors(bad.as_bytes()).is_err());
    }
}
