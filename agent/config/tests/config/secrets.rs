//! No message, warning or Debug output repeats a secret.

use proptest::prelude::*;

use crate::support::{has, lines, load};
use wovenet_config::key::{MeshKeyText, encode_key};

fn everything(text: &str) -> String {
    match load(text) {
        Ok(loaded) => format!("{}{:?}{:?}", lines(&loaded.warnings), loaded.config, loaded.document),
        Err(problems) => lines(&problems),
    }
}

proptest! {
    #[test]
    fn a_mesh_key_is_nowhere_in_the_output(secret in "[0-9]{9}[a-z]{0,20}", shape in 0usize..8) {
        let crypto = match shape {
            0 => format!("crypto: {{key: {secret}}}"),
            1 => format!("crypto: {{key: '{secret}'}}"),
            2 => format!("crypto: {secret}"),
            3 => format!("crypto: [{secret}]"),
            4 => format!("crypto: {{key: [{secret}]}}"),
            5 => format!("crypto: {{key: wvk1_{secret}}}"),
            6 => format!("crypto: {{key: good-enough-key-123, secondaryKey: {secret}}}"),
            _ => format!("crypto:\n  key: |\n    {secret}\n"),
        };
        let output = everything(&format!("siteName: home\n{crypto}\nmessageChannel: {{protocol: mqtt}}\n"));
        prop_assert!(!output.contains(&secret[..9]), "{}", output);
    }
}

#[test]
fn passwords_tokens_and_urls_are_nowhere_in_the_output() {
    let text = "
siteName: home
crypto: {key: s3cret-key-s3cret-key}
messageChannel:
  protocol: mqtt
  mqtt: {brokerServer: ['mqtts://me:s3cret@a', 'bad://me:s3cret@b', 'mqtt://me:s3cret@c:x'], user: me, password: [s3cret]}
tunnel: {localSockets: [{mode: dedicated-address, transportProtocol: quic, listenPort: 1, publicAddress: autoHttpDetect, httpDetector: {url: 'ftp://me:s3cret@x/?s3cret'}}]}
restfulApi: {enabled: true, auth: {basicAuth: [{user: a, password: s3cret}], bearerTokens: ['s3cret s3cret', s3cret]}}
";
    let output = everything(text);
    has(
        &output,
        &["brokerServer[1]", "brokerServer[2]", "httpDetector.url", "bearerTokens[0]", "password: must be text"],
    );
    assert!(!output.contains("s3cret"), "{output}");
}

#[test]
fn a_damaged_generated_key_is_explained() {
    let good = encode_key("wvk1_", &[7; 32]);
    let base = |key: &str| format!("siteName: home\ncrypto: {{key: {key}}}\nmessageChannel: {{protocol: mqtt}}\n");
    let loaded = load(&base(&good)).expect("good");
    assert!(matches!(loaded.config.keys.primary, MeshKeyText::Generated(_)));
    assert_eq!(loaded.warnings, []);
    let cut = &good[..good.len() - 1];
    has(&everything(&base(cut)), &["config.yaml:2: error: crypto.key: is a generated key that is damaged"]);
    let other = if good.as_bytes()[10] == b'a' { "b" } else { "a" };
    let changed = format!("{}{other}{}", &good[..10], &good[11..]);
    has(&everything(&base(&changed)), &["crypto.key: is a generated key that is damaged: the checksum does not match"]);
}

#[test]
fn passphrases_have_a_least_an_advised_and_a_greatest_length() {
    let base = |key: &str| format!("siteName: home\ncrypto:\n  key: {key}\nmessageChannel: {{protocol: mqtt}}\n");
    has(
        &everything(&base("seven77")),
        &["config.yaml:3: error: crypto.key: is too short: 7 bytes, at least 8 are needed"],
    );
    has(
        &everything(&base("eight888")),
        &["config.yaml:3: warning: crypto.key: is a passphrase of 8 bytes, which can be guessed"],
    );
    has(&everything(&base(&"x".repeat(256))), &["is too long: 256 bytes, at most 255"]);
    let trimmed = load(&base("|\n    a-long-enough-passphrase\n")).expect("good").config;
    assert_eq!(trimmed.keys, load(&base("a-long-enough-passphrase")).expect("good").config.keys);
}
