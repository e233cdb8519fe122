//! The recovery instructions: how to restore one very backup with stock tools, its names and numbers filled in.
//!
//! It holds no secret, and stands beside the backup, for anyone who finds it years from now. Its hash stands in the manifest.

mod database;
mod one_table;

pub(crate) use database::createdb_options;

use super::legacy::Kdf;
use super::manifest::{Manifest, ManifestObject, Role, WrappedKey, base_name};
use crate::error::Result;
use crate::format::backup_format::KeyWrap;
use crate::format::compression::Compression;
use crate::format::database_properties::DatabaseProperties;
use crate::format::names::Prefix;
use crate::format::order::SelectionRecord;
use database::{SETTINGS_FILE, collations, settings};

/// Around the place in the line that fetches.
const FETCH: &str = "    aws s3 cp ";
const ALL: &str = " . --recursive --exclude '*'";

/// The recovery instructions of a manifest, whose own hash is the one thing that it does not say.
///
/// `name` is the manifest's; `place` the folder of the objects, such as `s3://acme/backups`, if that is known; `selection` says
/// of which part a partial dump is, as far as that is known. Of the properties it tells encoding and locale, without which the
/// dump may not restore; settings, names of roles and the like stay sealed.
pub fn recovery_instructions(
    manifest: &Manifest,
    name: &str,
    place: Option<&str>,
    selection: Option<&SelectionRecord>,
    properties: &DatabaseProperties,
) -> Result<String> {
    let stem = name.split(".manifest.").next().unwrap_or(name);
    let mut text = format!(
        "# How to restore {stem}\n\n\
         A dump of the PostgreSQL database {database}, made at {time} by {program} (server {server}, pg_dump {pg_dump}).\n\
         {tables} tables, {rows} rows, {bytes} bytes of SQL. These commands need openssl 3, {tool}psql with createdb, and\n\
         one of the private keys named below; fetching may need aws, and reading the inventory jq. Run them in an empty folder, in a\n\
         shell (bash), one block after the other.\n",
        database = manifest.database,
        time = manifest.scheduled_time,
        program = manifest.program,
        server = manifest.server_version,
        pg_dump = manifest.pg_dump_version,
        tables = manifest.tables,
        rows = manifest.rows,
        bytes = manifest.plain_bytes,
        tool = tool(manifest.compression()?),
    );
    text.push_str(&partial(manifest, selection));
    text.push_str("\n## 1. The objects\n\n");
    text.push_str(&fetching(manifest, place)?);
    text.push_str("\n## 2. The data key\n\nIts wrapped copies, each for one private key:\n\n");
    for wrapped in &manifest.recipients {
        text.push_str(&format!("- key `{}`: {}\n", wrapped.fingerprint, base_name(&wrapped.object)));
    }
    text.push_str(&block(&unwrapping(&manifest.recipients)));
    text.push_str("\n## 3. Check that nothing was changed\n\nEvery line must say `OK`");
    text.push_str(&checks(manifest, name));
    text.push_str("\n## 4. The database\n\n");
    text.push_str(&roles(manifest)?);
    if let Some(dump) = manifest.object(Role::Dump) {
        text.push_str(
            "A dump is SQL and rows. Anyone who could write to the source may have put commands for psql into it (`\\!` starts a program);\n\
             its first command, `\\restrict`, has psql refuse them up to `\\unrestrict` at its end. A `psql` that does not know it is older\n\
             than August 2025, and one older than August 2026 can be tricked past it: take a newer one. A dump without `\\restrict`\n\
             is by an older pg_dump: read it first, or give it to `pgseal restore`, which refuses such commands in any dump.\n\
             The single transaction leaves nothing of an attempt that fails, unless there are large objects, whose own transaction ends\n\
             it: `dropdb restored` before the next one.\n\
             A materialized view whose owner sees only a part of a table stops it at its end (`query would be affected by row-level\n\
             security policy`): run it without `-v ON_ERROR_STOP=1 --single-transaction`, so that everything else goes in, and then\n\
             `SET row_security = on; REFRESH MATERIALIZED VIEW` with its name in psql.\n",
        );
        text.push_str(&block(&format!("createdb {} restored\n", createdb_options(properties))));
        text.push_str(&collations(manifest, properties).unwrap_or_default());
        let settings = settings(manifest, properties);
        text.push_str(settings.as_deref().unwrap_or_default());
        text.push_str(&needs(manifest));
        let (plain, psql) = (
            plain(manifest, dump)?,
            "psql -X -v ON_ERROR_STOP=1 --single-transaction -d restored",
        );
        text.push_str(&block(&match settings {
            Some(_) => format!("{{ cat {SETTINGS_FILE}\n  {plain}\n}} | {psql}\n"),
            None => format!("{plain} |\n  {psql}\n"),
        }));
    }
    if let Some(inventory) = manifest.object(Role::Inventory) {
        text.push_str(
            "\nSettings, comment, owner and privileges of the database itself are in no dump. The inventory has them, as JSON:\n",
        );
        text.push_str(&block(&format!(
            "{} | jq '{{owner, settings, role_settings, comment, privileges, roles}}'\n",
            opened(manifest, inventory)
        )));
    }
    text.push_str(&one_table::one_table(manifest, name)?);
    text.push_str("\nAfterwards remove `key.txt`, which opens this backup, everything that you decrypted, and the copy of the private key in this folder. Keep the private key itself.\n");
    Ok(text)
}

/// The warning on the recovery instructions of a partial dump: in general words, since names of tables are never written unencrypted.
fn partial(manifest: &Manifest, selection: Option<&SelectionRecord>) -> String {
    if !manifest.is_partial() {
        return String::new();
    }
    let words = selection.map(SelectionRecord::in_words).unwrap_or_default().join(", ");
    let words = if words.is_empty() { words } else { format!(" ({words})") };
    format!(
        "\n**This dump is partial: it holds only a part of the database{words}.**\n\
         Restored, it does not give back the whole database. Its inventory holds the patterns.\n"
    )
}

/// What a part lacks is in the inventory: names are never written unencrypted.
fn needs(manifest: &Manifest) -> String {
    let Some(inventory) = manifest.object(Role::Inventory).filter(|_| manifest.is_partial()) else {
        return String::new();
    };
    format!(
        "\nThis part may need what it does not hold. Make in the new database, before the dump: the schemas of its tables, which a dump of\n\
         chosen tables does not make (`CREATE SCHEMA`), and what the warnings of the inventory name (types, functions, extensions):\n{}",
        block(&format!(
            "{} | jq '{{tables: [.tables[].name], warnings}}'\n",
            opened(manifest, inventory)
        ))
    )
}

/// The name of the recovery instructions beside a manifest.
pub fn instructions_name(stem: &str, revision: u32) -> String {
    match revision {
        1 => format!("{stem}.RECOVER.md"),
        later => format!("{stem}.RECOVER.{later}.md"),
    }
}

fn tool(compression: Compression) -> &'static str {
    match compression {
        Compression::Bzip2(_) => "bzip2, ",
        Compression::Zstd(_) => "zstd, ",
        Compression::None => "",
    }
}

/// The backup's own objects, and no other's whose name begins alike. In the legacy format some have their time in another shape.
fn fetching(manifest: &Manifest, place: Option<&str>) -> Result<String> {
    let beginnings = manifest.stem(&Prefix::new("")?)?.beginnings(manifest.format);
    let Some(place) = place else {
        let names: Vec<String> = beginnings.iter().map(|beginning| format!("`{beginning}`")).collect();
        return Ok(format!(
            "Fetch every object whose name begins with {}, and put the private key beside them as `private_key.pem`.\n\
             Where they lie was not known where these lines were written.\n",
            names.join(" or ")
        ));
    };
    let own: String = beginnings
        .iter()
        .map(|beginning| format!(" --include {}", quoted(&format!("{beginning}*"))))
        .collect();
    Ok(format!(
        "Fetch all of them from where they are now, and put the private key beside them as `private_key.pem`:\n\n\
         {FETCH}{}{ALL}{own}\n",
        quoted(&format!("{place}/"))
    ))
}

/// The place in S3 that recovery instructions fetch from, if it names one.
pub(crate) fn place_of(instructions: &str) -> Option<String> {
    let fetch = instructions.lines().find_map(|line| line.strip_prefix(FETCH))?;
    let (word, _) = fetch.split_once(ALL)?;
    let bare = word.strip_prefix('\'').and_then(|word| word.strip_suffix('\''));
    let place = bare.map_or_else(|| word.to_owned(), |bare| bare.replace("'\\''", "'"));
    let is_in_s3 = place.starts_with("s3://") && quoted(&place) == word;
    is_in_s3.then(|| place.trim_end_matches('/').to_owned())
}

/// What makes the roles that own things in the dump or have rights there: without them it does not restore.
fn roles(manifest: &Manifest) -> Result<String> {
    if let Some(globals) = manifest.object(Role::Globals) {
        return Ok(format!(
            "First the roles, whose owners and grants the dump names. Errors of roles that exist already are harmless; but `ALTER ROLE`\n\
             changes one that exists, and may take its rights, so look through them before you run them:\n{}\n",
            block(&format!(
                "{} |\n  sed '/^GRANT /s/ GRANTED BY .*;$/;/' | psql -X -d postgres\n",
                plain(manifest, globals)?
            ))
        ));
    }
    let Some(inventory) = manifest.object(Role::Inventory) else {
        return Ok(
            "First the roles, whose owners and grants the dump names: the restore stops at the first one that is missing, with its name.\n\
             `CREATE ROLE` makes it.\n\n"
                .to_owned(),
        );
    };
    Ok(format!(
        "First the roles, whose owners and grants the dump names. The inventory names them, and those that are missing are made, without\n\
         any right of their own:\n{}\n",
        block(&format!(
            "psql -X -v ON_ERROR_STOP=1 -d postgres <<'SQL'\n\
             \\encoding UTF8\n\
             \\set inventory `{}`\n\
             SELECT format('CREATE ROLE %I', role) FROM json_array_elements_text(:'inventory'::json -> 'roles') AS role\n\
             WHERE role !~ '^pg_' AND role NOT IN (SELECT rolname FROM pg_roles) \\gexec\n\
             SQL\n",
            opened(manifest, inventory)
        ))
    ))
}

/// Finds the copy for the private key at hand.
fn unwrapping(recipients: &[WrappedKey]) -> String {
    let legacy = recipients.iter().any(|wrapped| wrapped.wrap == KeyWrap::Pkcs1);
    let padding = if legacy {
        "rsa_padding_mode:pkcs1"
    } else {
        "rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256"
    };
    let mut text =
        String::from("case $(openssl pkey -in private_key.pem -pubout -outform DER | openssl dgst -sha256 -r | cut -c1-64) in\n");
    for wrapped in recipients {
        text.push_str(&format!(
            "  {}) KEY={} ;;\n",
            wrapped.fingerprint,
            quoted(base_name(&wrapped.object))
        ));
    }
    text.push_str("  *) KEY= ; echo 'this private key opens none of them' >&2 ;;\nesac\n");
    text.push_str(&format!(
        "openssl pkeyutl -decrypt -inkey private_key.pem -pkeyopt {padding} -in \"$KEY\" -out key.txt\n"
    ));
    text
}

fn checks(manifest: &Manifest, name: &str) -> String {
    let name = quoted(name);
    let mut commands = format!(
        "MK=$(printf 'pgseal/1 manifest mac\\001' | openssl dgst -sha256 -hmac \"$(head -n1 key.txt)\" -r | cut -c1-64)\n\
         MAC=$(head -n1 {name} | openssl dgst -sha256 -mac HMAC -macopt hexkey:$MK -r | cut -c1-64)\n\
         tail -n +2 {name} | grep -qF \"{{\\\"mac\\\":\\\"hmac-sha256:$MAC\\\"\" && echo {name}: OK || echo {name}: NOT proven by this data key\n\
         while read -r SUM FILE; do\n\
         \x20 [ \"$(openssl dgst -sha256 -r \"./$FILE\" | cut -c1-64)\" = \"$SUM\" ] && echo \"$FILE: OK\" || echo \"$FILE: NOT what was written\"\n\
         done <<'SUMS'\n"
    );
    for object in &manifest.objects {
        commands.push_str(&format!("{}  {}\n", object.sha256, base_name(&object.key)));
    }
    commands.push_str("SUMS\n");
    let mut text = String::from(":\n");
    text.push_str(&block(&commands));
    if let Some(signer) = &manifest.signer {
        text.push_str(&format!(
            "\nAnd it was signed by the key `{}`, whose public half `signer.pem` you have from elsewhere. It must say `Verified OK`:\n",
            signer.fingerprint
        ));
        text.push_str(&block(&format!(
            "tail -n +2 {name} | sed 's/.*\"signature\":\"\\([^\"]*\\)\".*/\\1/' | openssl base64 -d -A > signature.der\n\
             head -n1 {name} | openssl dgst -sha256 -verify signer.pem -signature signature.der\n"
        )));
    }
    text
}

/// The command that gives an object's SQL.
fn plain(manifest: &Manifest, object: &ManifestObject) -> Result<String> {
    let decompress = match manifest.compression()? {
        Compression::Bzip2(_) => " | bzip2 -d",
        Compression::Zstd(_) => " | zstd -d",
        Compression::None => "",
    };
    Ok(format!("{}{decompress}", opened(manifest, object)))
}

/// The command that decrypts an object.
fn opened(manifest: &Manifest, object: &ManifestObject) -> String {
    let derivation = match manifest.kdf {
        Kdf::Pbkdf2 => format!("-pbkdf2 -iter {} -md sha256", manifest.iterations),
        Kdf::Sha256 => "-md sha256".to_owned(),
        Kdf::Md5 => "-md md5".to_owned(),
    };
    format!(
        "openssl enc -d -aes-256-cbc {derivation} -pass file:key.txt -in {}",
        quoted(base_name(&object.key))
    )
}

fn block(commands: &str) -> String {
    format!("\n```sh\n{commands}```\n")
}

/// For a shell. Names of objects need no quotes, folders may.
fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:%+=@".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_where_a_shell_would_read_them() {
        assert_eq!(quoted("app_20261124T020000Z.sql.enc"), "app_20261124T020000Z.sql.enc");
        assert_eq!(quoted("s3://acme/it's $HOME/"), "'s3://acme/it'\\''s $HOME/'");
        assert_eq!(quoted("a*"), "'a*'");
    }

    #[test]
    fn the_place_of_a_card_is_read_off_it() {
        for place in ["s3://acme/backups", "s3://acme/it's $HOME", "s3://acme"] {
            let instructions = format!("# x\n\n{FETCH}{}{ALL} --include a\n", quoted(&format!("{place}/")));
            assert_eq!(place_of(&instructions).as_deref(), Some(place));
        }
        // A local folder, a command behind it, or no line at all.
        for instructions in [
            format!("{FETCH}rw/{ALL}"),
            format!("{FETCH}s3://a/; id{ALL}"),
            format!("{FETCH}s3://a/"),
            String::new(),
        ] {
            assert_eq!(place_of(&instructions), None, "{instructions}");
        }
    }

    #[test]
    fn each_generation_has_a_card_of_its_own() {
        assert_eq!(instructions_name("app_20261124T020000Z", 1), "app_20261124T020000Z.RECOVER.md");
        assert_eq!(instructions_name("app_20261124T020000Z", 3), "app_20261124T020000Z.RECOVER.3.md");
    }
}
