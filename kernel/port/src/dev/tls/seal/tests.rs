//! Records that OpenSSL's algorithms have made, by the library `cryptography` of Python: two in a row of each suite.

use super::*;

/// Hash, encryption, version, and two records of data, sealed with what the client has of the secret of the bytes 1 to
/// 240. Where a block is thrown away, it is of bytes 0xa5.
const KNOWN: [(&str, &str, u16, [&str; 2]); 11] = [
    (
        "md5",
        "rc4_128",
        0x0301,
        [
            "17030100207f41f3f6bbb6c4d2e34f9bf60104bd4fa0d78d9d430c37efa1f4a7e71bbcdc3f",
            "170301003df9e68384c033b2cf742465c9b50bc885e1463d19268aa453fdb57f00e126716ad686c868060bf8cfc79f065b1f\
             536e46697bcfca13f5ea94de75421e93",
        ],
    ),
    (
        "sha1",
        "rc4_128",
        0x0303,
        [
            "1703030024d9ceab008bd24548d711f3c08e37c0c39c950b14a338b881324af4a343bc22a004d967e1",
            "1703030041819c50b5bcb4c9034e52099181df9c64c31c4d3f9b3f0de65a3fb6414c15818043fa81896516291e30081ff13f\
             5197b3955cc93c1d6698e8be7ed0cde610a7bb0c",
        ],
    ),
    (
        "sha1",
        "3des_ede_cbc",
        0x0301,
        [
            "1703010028f49ee7933f4082925611ed896d6c795c26b615fda7a319ce69de56983031b4582c3755bb00f769a2",
            "17030100484da2444d0f7496f93b169c2840776feae2f36087c3e9be1b49e3aeff6e08c2bba6278d582a20f6526280b315c7\
             e9ed597f79141e23fdfea6cdd01c0355b06dee35ac396159f4ff7f",
        ],
    ),
    (
        "sha1",
        "3des_ede_cbc",
        0x0303,
        [
            "1703030030a3c484db8d000c7da389e58bfe339cfa6f903f234ac0e328e13b691aad3f7b39b54ee1c982012a90cb84e929a8\
             fe3145",
            "170303005021d9968949581eefe206d47b0124bb1181f3ee13b7c451f7d3d07d88aafd5356676f17d7af1f8d073a4d1575bd\
             35c9c696ae52aa053610d1e89552d52805af6814b3174837617cb656907064b26ebe12",
        ],
    ),
    (
        "sha1",
        "aes_128_cbc",
        0x0301,
        [
            "1703010030a77c2764fa7ce1ddf7233944f9b5e7c403ef3ad9ee34973daa4b74a64738aaa04d85b5790d1377768f38e63c33\
             f68011",
            "1703010050f437e152bc18dd89608316b66d6ec7fa63f4c1bca87e58bbe96cfdf6042f8214291ebfe2dfbace4fae630373f1\
             4284a03e0339e2594195057472c87c383657ff13ad0e973c9bb18e559a385aca0308eb",
        ],
    ),
    (
        "sha1",
        "aes_128_cbc",
        0x0302,
        [
            "17030200408af4fcd7005609fa50a2142f8862ec383bc7eea903ad63040c03a81e6ab1bca14120f89ec4733a796d794d5642\
             bedf94e506409c286e555ddcd2df79de6c1cbe",
            "17030200605d5eb725176b8ca38c2781f8ba2474b402d7c8ad7571c2fccec19c0fd7e60c02345e08371054013a8ba60b9eb3\
             a6996948de390cc1594d1d17d895aa3e9fb170a2f4ae87c8db67557dca1eca3cb794ae8c329e6868c249bd8c3cb16fdf4d74\
             bd",
        ],
    ),
    (
        "sha256",
        "aes_256_cbc",
        0x0303,
        [
            "17030300504b5d6b016ea9041eb969b01a01398bed32c6f3543ad4d4dea0b8865d28548006ad0ec789a48c957583e06a3f13\
             99770b8985a1c9dac434b256a342ce1f4ea1fa6c8053fc60e1cef2937d4878c76e5015",
            "1703030060fa236dda8f9fa1e59d51981c884c329981b3ce1e302e5b69df2426f369a6de3d21283fd9d6926f8f9d9b993f68\
             785a2d90264d0095957a5cb58f2b65fabc30048913b366c9f1732877343f842da110db3febf5c6d39482d7d7a395f3637d3e\
             a5",
        ],
    ),
    (
        "sha256",
        "clear",
        0x0303,
        [
            "1703030030746865206669727374207265636f72641b398cc36f2b8d625bcee60c641ab640fc51c25a14a89e92690b6bf42e\
             db9868",
            "170303004d616e6420616e6f74686572206f6e652c207768696368206973206c6f6e676572207468616e206120626c6f636b\
             1d60cc41bbbf6da381743063c036398bd5c52c98692cc3ab0f5212670baf6dff",
        ],
    ),
    (
        "clear",
        "ccpoly96_aead",
        0x0303,
        [
            "170303002021a78d5a23f40b47cb9b2bfa2fe1e32d23b6263b7d1fb1e78b585f73f67c98b1",
            "170303003d33930172a3ca24386413cd36dfb57edc68780c30b1195e86b98dee5580e5b744aa72427ecc98514d316be54438\
             b6f83a48694698f7a325aa115320fb2c",
        ],
    ),
    (
        "clear",
        "aes_128_gcm_aead",
        0x0303,
        [
            "17030300280000000000000000cfb9dc8eefcf2f5b2c77c3d75763b813b0dd8ec571d696dcc65de526c3bde6a1",
            "170303004500000000000000010383d528f56c28aa002bea104cc97b5f308c34fee279679b9a22950b38185cc98b35a43ea1\
             000c4afb6555956ad8f8e08736e6d5a1ebea164f296acb82",
        ],
    ),
    (
        "clear",
        "aes_256_gcm_aead",
        0x0303,
        [
            "17030300280000000000000000e2c15d615504730dfa2617faf5d7bd22a6b0734e665714fdf34a07887abb4880",
            "170303004500000000000000010a1e59310ffddcdd97ef6b9f8626fcfb3dd1e9bede8a0dab04959a2767be99e5e4df5fab67\
             9bd9491b058abf7ee0a7e9f943803c053a524352e8584ecd",
        ],
    ),
];

/// What is in them.
const SAID: [&[u8]; 2] = [b"the first record", b"and another one, which is longer than a block"];

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |d: u8| char::from(d).to_digit(16).unwrap() as u8;
    hex.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

fn secret() -> Vec<u8> {
    (1..=240).collect()
}

/// What the client sends with and what the server opens that with.
fn ends(hash: &str, enc: &str, secret: &[u8]) -> (Sealer, Opener) {
    let suite = Suite::of(hash, enc).unwrap();
    let [client, _] = suite.split(secret).unwrap();
    (Sealer::new(suite, client).unwrap(), Opener::new(suite, client).unwrap())
}

fn opened(opener: &mut Opener, record: &[u8]) -> Result<Vec<u8>, Bad> {
    let head = Head { kind: record[0], version: u16::from_be_bytes([record[1], record[2]]) };
    let mut body = record[HEAD..].to_vec();
    opener.open(head, &mut body).map(|range| body[range].to_vec())
}

#[test]
fn records_of_others_are_opened() {
    let secret = secret();
    for (hash, enc, _, records) in KNOWN {
        let (_, mut opener) = ends(hash, enc, &secret);
        for (record, said) in records.iter().zip(SAID) {
            assert_eq!(opened(&mut opener, &bytes(record)).as_deref(), Ok(said), "{hash} {enc}");
        }
        // Out of turn they are not what was sent, unless nothing tells them apart.
        let (_, mut opener) = ends(hash, enc, &secret);
        assert_eq!(opened(&mut opener, &bytes(records[1])), Err(Bad), "{hash} {enc}");
    }
}

#[test]
fn records_are_sealed_as_others_seal_them() {
    let secret = secret();
    for (hash, enc, version, records) in KNOWN {
        let (mut sealer, mut opener) = ends(hash, enc, &secret);
        let is_random = version >= TLS11 && enc.ends_with("cbc");
        let (mut all, mut again) = (Vec::new(), Vec::new());
        for (record, said) in records.iter().zip(SAID) {
            let at = all.len();
            sealer.seal(Head { kind: 23, version }, said, &mut all).unwrap();
            let sealed = &all[at..];
            assert_eq!(sealed.len(), record.len() / 2, "{hash} {enc}");
            assert!(sealed.len() <= HEAD + said.len() + ADDED_MOST);
            assert_eq!(sealed == bytes(record), !is_random, "{hash} {enc}");
            assert_eq!(opened(&mut opener, sealed).as_deref(), Ok(said));
        }
        ends(hash, enc, &secret).0.seal(Head { kind: 23, version }, SAID[0], &mut again).unwrap();
        assert_eq!(all.starts_with(&again), !is_random, "{hash} {enc}");
    }
}

#[test]
fn a_record_of_which_a_bit_is_changed_is_not_opened() {
    let secret = secret();
    for (hash, enc, version, records) in KNOWN {
        let record = bytes(records[0]);
        // What is in a block that is thrown away makes no difference.
        let thrown = match (version >= TLS11, enc) {
            (true, "3des_ede_cbc") => 8,
            (true, "aes_128_cbc" | "aes_256_cbc") => 16,
            _ => 0,
        };
        for bit in (0..8).chain((8 * (HEAD + thrown)..8 * record.len()).step_by(3)) {
            let mut changed = record.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let (_, mut opener) = ends(hash, enc, &secret);
            assert_eq!(opened(&mut opener, &changed), Err(Bad), "{hash} {enc} {bit}");
        }
        for len in HEAD..record.len() {
            let (_, mut opener) = ends(hash, enc, &secret);
            assert_eq!(opened(&mut opener, &record[..len]), Err(Bad), "{hash} {enc} {len} bytes");
        }
    }
}

#[test]
fn padding_is_as_long_as_it_says_and_has_nothing_else_in_it() {
    for (body, room, is) in [
        (&[7, 7, 0][..], 3, (1, true)),
        (&[7, 1, 1], 3, (2, true)),
        (&[2, 2, 2], 3, (3, true)),
        (&[2, 2, 2], 2, (0, false)),
        (&[7, 3, 1], 3, (0, false)),
        (&[9, 9, 9], 3, (0, false)),
        (&[], 0, (0, false)),
    ] {
        assert_eq!(padding(body, room), is, "{body:?} {room}");
    }
    let all = [255; 256];
    assert_eq!(padding(&all, 256), (256, true));
}
