//! Keys that the `openssl` command line makes, in every form in which people keep them.

use super::*;
use crate::format::{hex, sha256};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// A folder in which shell commands run.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    pub(crate) fn try_run(&self, command: &str) -> bool {
        let mut shell = Command::new("sh");
        shell.args(["-ec", command]).current_dir(self.0.path()).stdin(Stdio::null());
        shell.output().unwrap().status.success()
    }

    pub(crate) fn run(&self, command: &str) {
        assert!(self.try_run(command), "{command}");
    }
}

/// Two RSA keys, made once: that is what takes time.
pub(crate) struct Keys {
    folder: Folder,
    /// The first one's, as SPKI PEM.
    pub public: String,
    fingerprint: String,
}

impl Keys {
    /// A folder with `key.pem` (PKCS#8), `other.pem` and `public.pem`.
    fn folder(&self) -> Folder {
        let folder = Folder::new();
        for name in ["key.pem", "other.pem", "public.pem"] {
            folder.write(name, &self.folder.read(name));
        }
        folder
    }

    fn key(&self) -> PrivateKey {
        PrivateKey::parse(&self.folder.read("key.pem"), no_passphrase).unwrap()
    }

    fn other(&self) -> PrivateKey {
        PrivateKey::parse(&self.folder.read("other.pem"), no_passphrase).unwrap()
    }

    fn recipient(&self) -> Recipient {
        Recipient::parse(&self.public).unwrap()
    }
}

pub(crate) fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let folder = Folder::new();
        folder.run("openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem");
        folder.run("openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out other.pem");
        folder.run("openssl pkey -in key.pem -pubout -out public.pem");
        folder.run("openssl pkey -in key.pem -pubout -outform DER -out public.der");
        Keys {
            public: String::from_utf8(folder.read("public.pem")).unwrap(),
            fingerprint: hex(&sha256(&folder.read("public.der"))),
            folder,
        }
    })
}

pub(crate) fn no_passphrase() -> Result<Zeroizing<Vec<u8>>> {
    panic!("the key is not encrypted: nobody should be asked")
}

fn passphrase(text: &str) -> impl FnOnce() -> Result<Zeroizing<Vec<u8>>> {
    let bytes = text.as_bytes().to_vec();
    move || Ok(Zeroizing::new(bytes))
}

/// Runs `command`, which writes `out`, and gives the error of reading it.
fn refusal(command: &str) -> Error {
    let folder = keys().folder();
    folder.run(command);
    let error = PrivateKey::parse(&folder.read("out"), passphrase("secret")).unwrap_err();
    assert_eq!(error.code, Code::BadUsage, "{command}");
    error
}

#[test]
fn keys_in_clear_are_read_in_every_form() {
    for command in [
        "openssl pkcs8 -topk8 -nocrypt -in key.pem -out out",
        "openssl pkcs8 -topk8 -nocrypt -in key.pem -outform DER -out out",
        "openssl rsa -traditional -in key.pem -out out",
        "openssl rsa -traditional -in key.pem -outform DER -out out",
        "openssl rsa -in key.pem -text -out out",
        "sed 's/$/\\r/' key.pem > out",
        "tr '\\n' '\\r' < key.pem > out",
        "sed 's/^/    /' key.pem > out",
        "printf '\\357\\273\\277' | cat - key.pem > out",
        "cat public.pem key.pem > out",
        "openssl req -new -x509 -key key.pem -subj /CN=a -days 2 -out c.pem && cat c.pem key.pem > out",
        // "Bag Attributes" around the blocks.
        "openssl req -new -x509 -key key.pem -subj /CN=a -days 2 -out c.pem \
         && openssl pkcs12 -export -inkey key.pem -in c.pem -name näme -passout pass:p -out p12 \
         && openssl pkcs12 -in p12 -passin pass:p -noenc -out out && grep -q 'Bag Attributes' out",
        // The label lies.
        "openssl rsa -traditional -in key.pem | sed 's/RSA PRIVATE KEY/PRIVATE KEY/' > out",
    ] {
        let folder = keys().folder();
        folder.run(command);
        let key = PrivateKey::parse(&folder.read("out"), no_passphrase).unwrap_or_else(|error| panic!("{command}: {error}"));
        assert_eq!(key.fingerprint(), keys().fingerprint, "{command}");
        assert_eq!(*key.recipient(), keys().recipient(), "{command}");
    }
}

#[test]
fn encrypted_keys_are_read_and_a_wrong_passphrase_is_told() {
    let pkcs8 = "openssl pkcs8 -topk8 -in key.pem -passout pass:secret -out out";
    let traditional = "openssl rsa -traditional -in key.pem -passout pass:secret -out out";
    let mut commands: Vec<String> = ["aes-128-cbc", "aes-192-cbc", "aes-256-cbc", "des3"]
        .map(|cipher| format!("{pkcs8} -v2 {cipher}"))
        .into();
    commands.extend(["SHA1", "SHA256", "SHA384", "SHA512"].map(|prf| format!("{pkcs8} -v2prf hmacWith{prf}")));
    commands.extend(["-scrypt", "-iter 1", "-outform DER"].map(|option| format!("{pkcs8} {option}")));
    commands.extend(["-aes128", "-aes192", "-aes256", "-des3"].map(|cipher| format!("{traditional} {cipher}")));
    commands.push(format!("{traditional} -aes256 && sed -i 's/$/\\r/' out"));
    for command in commands {
        let folder = keys().folder();
        folder.run(&command);
        let file = folder.read("out");
        let key = PrivateKey::parse(&file, passphrase("secret")).unwrap_or_else(|error| panic!("{command}: {error}"));
        assert_eq!(key.fingerprint(), keys().fingerprint, "{command}");
        let error = PrivateKey::parse(&file, passphrase("Secret")).unwrap_err();
        assert_eq!(error.code, Code::BadUsage);
        assert!(error.message.contains("not opened by this passphrase"), "{command}: {error}");
    }
}

#[test]
fn many_wrong_passphrases_are_told_even_where_the_padding_fits() {
    let folder = keys().folder();
    folder.run("openssl rsa -traditional -in key.pem -aes128 -passout pass:secret -out traditional");
    folder.run("openssl pkcs8 -topk8 -in key.pem -iter 1 -passout pass:secret -out pkcs8");
    for name in ["traditional", "pkcs8"] {
        let file = folder.read(name);
        // One in 256 ends in a byte that looks like padding.
        for n in 0..1500 {
            let error = PrivateKey::parse(&file, passphrase(&n.to_string())).unwrap_err();
            assert!(error.message.contains("not opened by this passphrase"), "{name} {n}: {error}");
        }
    }
}

#[test]
fn an_error_in_asking_comes_through() {
    let folder = keys().folder();
    folder.run("openssl rsa -traditional -in key.pem -aes128 -passout pass:secret -out out");
    let error = PrivateKey::parse(&folder.read("out"), || Err(Error::new(Code::Terminated, "interrupted"))).unwrap_err();
    assert_eq!(error.code, Code::Terminated);
}

#[test]
fn what_is_no_rsa_private_key_is_named() {
    for (command, reason, advice) in [
        ("cp public.pem out", "a public key", "PKCS#8"),
        ("openssl pkey -in key.pem -pubout -outform DER -out out", "a public key", "PKCS#8"),
        ("openssl rsa -in key.pem -RSAPublicKey_out -out out", "a public key", "PKCS#8"),
        (
            "openssl req -new -x509 -key key.pem -subj /CN=a -days 2 -out out",
            "a certificate",
            "PKCS#8",
        ),
        (
            "openssl req -new -key key.pem -subj /CN=a -out out",
            "CERTIFICATE REQUEST",
            "PKCS#8",
        ),
        ("ssh-keygen -q -t rsa -N '' -f out", "OpenSSH's own format", "ssh-keygen -p -m PEM"),
        ("ssh-keygen -q -t rsa -N '' -f k && cp k.pub out", "a public key", "PKCS#8"),
        ("echo 'PuTTY-User-Key-File-3: ssh-rsa' > out", "PuTTY's format", "puttygen"),
        (
            "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out out",
            "an EC key",
            "RSA",
        ),
        ("openssl ecparam -name prime256v1 -genkey -out out", "an EC key", "RSA"),
        ("openssl genpkey -algorithm ED25519 -out out", "an Ed25519", "RSA"),
        (
            "openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out out",
            "RSASSA-PSS",
            "RSA",
        ),
        ("openssl genrsa -out out 1024", "has 1024 bits; at least 2048", "openssl pkeyutl"),
        ("cat key.pem other.pem > out", "more than one private key", "with one"),
        ("head -n 5 key.pem > out", "ends within a PEM block", "damaged"),
        (
            "sed 's/END PRIVATE/END RSA PRIVATE/' key.pem > out",
            "do not belong together",
            "damaged",
        ),
        ("sed '3s/./!/' key.pem > out", "not base64", "damaged"),
        ("head -c 70000 /dev/zero > out", "longer than 64 KiB", "PKCS#8"),
        ("echo hello > out", "neither PEM nor DER", "PKCS#8"),
        (": > out", "neither PEM nor DER", "PKCS#8"),
        ("iconv -f UTF-8 -t UTF-16 key.pem > out", "UTF-16", "iconv"),
        (
            "openssl pkcs12 -export -nocerts -inkey key.pem -passout pass:p -out out",
            "PKCS#12",
            "openssl pkcs12",
        ),
        (
            "openssl pkcs8 -topk8 -v1 PBE-SHA1-3DES -in key.pem -passout pass:secret -out out",
            "encrypted in a way that is not read here",
            "openssl pkcs8 -topk8",
        ),
        (
            "openssl rsa -traditional -camellia128 -in key.pem -passout pass:secret -out out",
            "encrypted in a way that is not read here",
            "openssl pkcs8 -topk8",
        ),
    ] {
        let error = refusal(command);
        assert!(error.message.contains(reason), "{command}: {error}");
        assert!(error.hint().contains(advice), "{command}: {}", error.hint());
    }
}

#[test]
fn a_damaged_key_is_refused() {
    let folder = keys().folder();
    folder.run("openssl rsa -traditional -in key.pem -outform DER -out out");
    let der = folder.read("out");
    for position in [0, 1, 5, 20, 150, 300, 600, 900, der.len() - 1] {
        let mut changed = der.clone();
        changed[position] ^= 1;
        let error = PrivateKey::parse(&changed, no_passphrase).unwrap_err();
        assert_eq!(error.code, Code::BadUsage, "{position}");
    }
    for length in [0, 1, 4, 100, der.len() - 1] {
        assert!(PrivateKey::parse(&der[..length], no_passphrase).is_err(), "{length}");
    }
}

#[test]
fn an_unaffordable_scrypt_is_refused_before_it_starts() {
    let folder = keys().folder();
    folder.run("openssl pkcs8 -topk8 -scrypt -in key.pem -outform DER -passout pass:secret -out out");
    let der = folder.read("out");
    // N = 16384 as a DER INTEGER; then 0x4000 becomes 0x7fff (no power of 2), 0x0000 and, with r = 8 behind it, r = 127.
    let cost = der.windows(4).position(|window| window == [2, 2, 0x40, 0]).unwrap();
    for (offset, bytes) in [(2, [0x7f, 0xff]), (2, [0, 0]), (5, [1, 0])] {
        let mut changed = der.clone();
        changed[cost + offset..cost + offset + 2].copy_from_slice(&bytes);
        let error = PrivateKey::parse(&changed, passphrase("secret")).unwrap_err();
        assert!(error.message.contains("not read here"), "{error}");
    }
}

#[test]
fn what_the_recipient_wraps_opens() {
    let secret = DataKeyText::generate().unwrap();
    let wrapped = keys().recipient().wrap(&secret.file()).unwrap();
    let opened = keys().key().unwrap_oaep(&wrapped).unwrap();
    assert!(*opened.file() == *secret.file());
}

#[test]
fn what_openssl_wraps_opens() {
    let folder = keys().folder();
    folder.run("openssl rand -hex 32 > key.txt");
    folder.run(
        "openssl pkeyutl -encrypt -pubin -inkey public.pem -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 \
         -in key.txt -out key.enc",
    );
    let opened = keys().key().unwrap_oaep(&folder.read("key.enc")).unwrap();
    assert!(*opened.file() == folder.read("key.txt"));
}

#[test]
fn another_key_or_object_is_a_wrong_key() {
    let wrapped = keys().recipient().wrap(&DataKeyText::generate().unwrap().file()).unwrap();
    let error = keys().other().unwrap_oaep(&wrapped).err().unwrap();
    assert_eq!(error.code, Code::WrongKey);
    assert!(error.message.contains(keys().other().fingerprint()), "{error}");
    let short = keys().key().unwrap_oaep(&wrapped[..255]).err().unwrap();
    assert!(short.message.contains("255 bytes") && short.message.contains("256"), "{short}");
}

#[test]
fn only_the_shape_of_a_secret_is_taken_for_one() {
    let hex = "0123456789abcdef".repeat(4);
    for file in [
        hex.clone(),
        format!("{hex}\r\n"),
        format!("{hex}\n\n"),
        format!("{}\n", hex.to_uppercase()),
        format!("{}\n", &hex[1..]),
        format!("{hex}0\n"),
        String::new(),
    ] {
        let wrapped = keys().recipient().wrap(file.as_bytes()).unwrap();
        let error = keys().key().unwrap_oaep(&wrapped).err().unwrap();
        assert_eq!(error.code, Code::WrongKey, "{file:?}");
    }
}

#[test]
fn the_old_images_key_file_opens_to_its_first_line() {
    let folder = keys().folder();
    folder.run("openssl rand -base64 128 > key.txt && test $(wc -c < key.txt) = 175");
    folder.run("openssl pkeyutl -encrypt -pubin -inkey public.pem -in key.txt -out key.txt.enc");
    let opened = keys().key().unwrap_pkcs1(&folder.read("key.txt.enc")).unwrap();
    assert!(opened.passphrase() == &folder.read("key.txt")[..64]);
}

#[test]
fn other_writers_key_files_open_to_the_line_that_openssl_takes() {
    for (file, line) in [
        (
            "3q2+7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
            "3q2+7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        ),
        ("0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef"),
        (
            "carriage return and line feed of Windows\r\n",
            "carriage return and line feed of Windows\r",
        ),
        ("short\nand a long second line, which does not count\n", "short"),
    ] {
        let wrapped = keys().recipient().wrap_pkcs1(file.as_bytes()).unwrap();
        let opened = keys().key().unwrap_pkcs1(&wrapped).unwrap();
        assert_eq!(std::str::from_utf8(opened.passphrase()).unwrap(), line);
    }
}

#[test]
fn made_up_bytes_are_a_wrong_key() {
    let wrapped = keys().recipient().wrap_pkcs1(&[b'A'; 175]).unwrap();
    assert_eq!(keys().other().unwrap_pkcs1(&wrapped).err().unwrap().code, Code::WrongKey);
    // What a library with implicit rejection may make up: bytes of any length.
    for length in 0..=245_usize {
        let noise: Vec<u8> = (0..8u8).flat_map(|n| sha256(&[length as u8, n])).collect();
        let wrapped = keys().recipient().wrap_pkcs1(&noise[..length]).unwrap();
        let error = keys().key().unwrap_pkcs1(&wrapped).err().unwrap();
        assert_eq!(error.code, Code::WrongKey, "{length}");
    }
    for file in [
        "\nan empty first line is no passphrase at all\n",
        "too short",
        "with a NUL\0 inside, and long enough",
    ] {
        let wrapped = keys().recipient().wrap_pkcs1(file.as_bytes()).unwrap();
        assert!(keys().key().unwrap_pkcs1(&wrapped).is_err(), "{file:?}");
    }
}

#[test]
fn a_key_file_is_opened_by_its_path_and_named_in_errors() {
    let folder = keys().folder();
    folder.run("openssl pkcs8 -topk8 -in key.pem -passout pass:secret -out encrypted.pem");
    folder.write("right", b"secret\n");
    folder.write("wrong", b"guess\n");
    let open = |passphrase: &str| PrivateKey::open(&folder.path("encrypted.pem"), Some(&folder.path(passphrase)));
    assert_eq!(open("right").unwrap().fingerprint(), keys().fingerprint);
    let error = open("wrong").unwrap_err();
    assert!(
        error.message.contains("encrypted.pem") && error.message.contains("not opened"),
        "{error}"
    );
    let missing = PrivateKey::open(&folder.path("missing.pem"), None).unwrap_err();
    assert!(
        missing.message.contains("missing.pem") && missing.message.contains("cannot be read"),
        "{missing}"
    );
}

#[test]
fn nothing_of_a_key_is_printed() {
    assert_eq!(format!("{:?}", keys().key()), "PrivateKey");
}
