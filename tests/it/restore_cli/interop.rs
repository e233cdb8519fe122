//! With other programs: what is written here opens with the stock tools and with a current OpenSSL, and what the shell
//! pipeline of the legacy image writes opens here.

use super::round_trips::plain;
use super::sealed::{Made, Order, dump, key};
use super::{Fixture, text};
use crate::support::aws::testbed;
use crate::support::pgseal::{CommandOutput, Pgseal};
use pgseal::envelope::secret::ITERATIONS;
use pgseal::format::compression::Compression;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The commands of the format's page.
const STOCK: &str = r#"
FP=$(openssl pkey -in "$PRIVATE" -pubout -outform DER | openssl dgst -sha256 -r | cut -c1-16)
openssl pkeyutl -decrypt -inkey "$PRIVATE" -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -in *.key.$FP.enc -out key.txt
S=$(head -n1 key.txt)
MK=$(printf 'pgseal/1 manifest mac\001' | openssl dgst -sha256 -hmac "$S" -r | cut -c1-64)
MAC=$(head -n1 *.manifest.jsonl | openssl dgst -sha256 -mac HMAC -macopt hexkey:$MK -r | cut -c1-64)
test "$(tail -n1 *.manifest.jsonl)" = "{\"mac\":\"hmac-sha256:$MAC\"}"
head -n1 *.manifest.jsonl | grep -q "\"sha256\":\"$(openssl dgst -sha256 -r *.sql*.enc | cut -c1-64)\""
openssl enc -d -aes-256-cbc -pbkdf2 -iter 10000 -md sha256 -pass file:key.txt -in *.sql*.enc | $DECOMPRESS
"#;

/// Those of the legacy image's README, by the names that the image really wrote.
const OLD_README: &str = r#"
openssl rsautl -decrypt -inkey "$PRIVATE" -in *.key.txt.enc -out key.bin.dec
openssl enc -d -aes-256-cbc -salt -in *.sql.bz.enc -out backup.sql.bz2 --pass file:./key.bin.dec
bzip2 -d backup.sql.bz2
cat backup.sql
"#;

/// The same by another program's hands: a current OpenSSL below Python.
const CRYPTOGRAPHY: &str = r#"
import bz2, glob, hashlib, hmac, json, os, sys
from cryptography.hazmat.primitives import hashes, padding, serialization
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

private = serialization.load_pem_private_key(open(os.environ["PRIVATE"], "rb").read(), None)
spki = private.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
line, proof = open(glob.glob("*.manifest.jsonl")[0], "rb").read().splitlines(keepends=True)
manifest = json.loads(line)
read = lambda key: open(key.rsplit("/", 1)[-1], "rb").read()
wrapped = next(r for r in manifest["recipients"] if r["fingerprint"] == hashlib.sha256(spki).hexdigest())
secret = private.decrypt(read(wrapped["object"]), OAEP(MGF1(hashes.SHA256()), hashes.SHA256(), None))[:64]
mac_key = hmac.digest(secret, b"pgseal/1 manifest mac\x01", "sha256")
assert json.loads(proof)["mac"] == "hmac-sha256:" + hmac.digest(mac_key, line, "sha256").hex()
dump = next(o for o in manifest["objects"] if o["role"] == "dump")
sealed = read(dump["key"])
assert hashlib.sha256(sealed).hexdigest() == dump["sha256"] and sealed[:8] == b"Salted__"
derived = PBKDF2HMAC(hashes.SHA256(), 48, sealed[8:16], manifest["iterations"]).derive(secret)
decryptor = Cipher(algorithms.AES(derived[:32]), modes.CBC(derived[32:])).decryptor()
unpadder = padding.PKCS7(128).unpadder()
packed = unpadder.update(decryptor.update(sealed[16:]) + decryptor.finalize()) + unpadder.finalize()
sys.stdout.buffer.write(bz2.decompress(packed) if manifest["compression"].startswith("bzip2") else packed)
"#;

pub(super) fn private(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/vectors/keys/{name}.pem"))
}

/// The objects as files.
pub(super) fn written(made: &Made) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, body) in &made.objects {
        std::fs::write(folder.path().join(name), body).expect("written");
    }
    folder
}

fn bash(script: &str, folder: &Path, key: &str, decompress: &str) -> Output {
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", script]).current_dir(folder);
    command.env("PRIVATE", private(key)).env("DECOMPRESS", decompress);
    let output = command.output().expect("bash starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

#[test]
fn what_is_written_opens_with_stock_tools() {
    for (compression, decompress) in [
        (Compression::Bzip2(9), "bzip2 -d"),
        (Compression::Bzip2(1), "bzip2 -d"),
        (Compression::Zstd(3), "zstd -d"),
        (Compression::None, "cat"),
    ] {
        for length in [0, 1, 16, 900_001] {
            let order = Order {
                keys: vec![key("recipient-b"), key("recipient-a")],
                compression,
                iterations: ITERATIONS,
                ..Order::default()
            };
            let plain = plain(length, 6);
            let folder = written(&order.seal(&plain));
            for key in ["recipient-a", "recipient-b"] {
                let back = bash(STOCK, folder.path(), key, decompress).stdout;
                assert!(back == plain, "{compression}, {length} bytes, {key}");
            }
        }
    }
}

#[test]
fn what_is_written_in_the_old_format_opens_by_the_old_readme() {
    for length in [0, 1, 16, 900_001] {
        let plain = plain(length, 7);
        let folder = written(&Order::legacy().seal(&plain));
        let back = bash(OLD_README, folder.path(), "recipient-a", "").stdout;
        assert!(back == plain, "{length} bytes");
    }
}

#[test]
fn what_is_written_opens_with_a_current_openssl() {
    for compression in [Compression::Bzip2(9), Compression::None] {
        let order = Order {
            compression,
            iterations: ITERATIONS,
            ..Order::default()
        };
        let plain = plain(300_000, 8);
        let folder = written(&order.seal(&plain));
        let mut python = Command::new(testbed("venv-ministack/bin/python"));
        python.args(["-c", CRYPTOGRAPHY]).env("PRIVATE", private("recipient-a"));
        let output = python.current_dir(folder.path()).output().expect("python starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout == plain, "{compression}");
    }
}

/// What the legacy image ran, with the switches of the versions of OpenSSL that it came to be run with.
pub(super) fn old_image(folder: &Path, plain: &[u8], wrap: &str, switches: &str, names: [&str; 2]) {
    std::fs::write(folder.join("plain"), plain).expect("written");
    let [key, dump] = names;
    let script = format!(
        "openssl pkey -in \"$PRIVATE\" -pubout -out public_key.pem\n\
         openssl rand -base64 128 > key.txt\n\
         openssl {wrap} -encrypt -pubin -inkey public_key.pem -in key.txt -out '{key}'\n\
         bzip2 < plain | openssl enc -aes-256-cbc -salt {switches} -pass file:./key.txt -out '{dump}'\n\
         rm plain key.txt public_key.pem"
    );
    bash(&script, folder, "recipient-a", "");
}

const OLD_NAMES: [&str; 2] = ["app_2026-11-24T02:00:00Z.key.txt.enc", "app_2026-11-24T02:00:00Z.sql.bz.enc"];

fn decrypt(place: &Path, key: &Path) -> CommandOutput {
    Fixture::offline(&["decrypt", text(place), "--key", text(key), "--unauthenticated"])
}

#[test]
fn what_the_old_image_wrote_opens_here() {
    let plain = dump(30_000);
    for (wrap, switches, names) in [
        ("rsautl", "-md sha256", OLD_NAMES),
        ("rsautl", "-md md5", OLD_NAMES),
        ("rsautl", "-pbkdf2", OLD_NAMES),
        ("pkeyutl", "-md sha256", OLD_NAMES),
        ("pkeyutl", "-md sha256", ["key.bin.enc", "backup.sql.gz.enc"]),
    ] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        old_image(folder.path(), &plain, wrap, switches, names);
        for place in [folder.path().to_owned(), folder.path().join(OLD_NAMES[1])] {
            if !place.exists() {
                continue;
            }
            let said = decrypt(&place, &private("recipient-a"));
            assert_eq!(said.code, 0, "{wrap} {switches}: {}", said.stderr);
            assert!(said.stdout.as_bytes() == plain, "{wrap} {switches}");
            assert!(said.stderr.contains("unauthenticated"), "{wrap} {switches}: {}", said.stderr);
        }
        let verified = Pgseal::new(&["verify", text(folder.path()), "--key", text(&private("recipient-a"))]).run();
        assert_eq!(verified.code, 7, "nothing in it can be verified: {}", verified.stdout);
        // It was `tampered`, although nobody had touched it.
        assert_eq!(verified.receipt()["error"]["code"], "no_backup", "{}", verified.stdout);
    }
}

#[test]
fn nothing_of_the_old_image_comes_out_with_another_key() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for switches in ["-md sha256", "-md md5", "-pbkdf2"] {
        old_image(folder.path(), &dump(1000), "pkeyutl", switches, OLD_NAMES);
        // Two of the same size, one of another.
        for stranger in ["stranger", "recipient-b", "recipient-c"] {
            let said = decrypt(folder.path(), &private(stranger));
            assert_eq!(
                (said.code, said.stdout.as_str()),
                (7, ""),
                "{switches}, {stranger}: {}",
                said.stderr
            );
            assert!(said.stderr.contains("wrong_key"), "{switches}, {stranger}: {}", said.stderr);
        }
    }
}

#[test]
fn an_empty_dump_of_the_old_image_opens_too() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    old_image(folder.path(), b"", "pkeyutl", "-md sha256", OLD_NAMES);
    let said = decrypt(folder.path(), &private("recipient-a"));
    assert_eq!((said.code, said.stdout.as_str()), (0, ""), "{}", said.stderr);
}
