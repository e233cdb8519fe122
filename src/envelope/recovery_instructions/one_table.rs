//! How one table is taken out of the dump with stock tools: by the index, from the parts that hold it alone.

use super::{block, opened, quoted};
use crate::envelope::legacy::Kdf;
use crate::envelope::manifest::{Manifest, Role, base_name};
use crate::error::Result;
use crate::format::compression::Compression;

/// `manifest_name` is the file that names the parts. Nothing where there is no inventory, whose index it needs.
pub(super) fn one_table(manifest: &Manifest, manifest_name: &str) -> Result<String> {
    let (Some(dump), Some(inventory)) = (manifest.object(Role::Dump), manifest.object(Role::Inventory)) else {
        return Ok(String::new());
    };
    if manifest.kdf != Kdf::Pbkdf2 {
        return Ok(String::new());
    }
    let plain = match manifest.compression()? {
        Compression::Bzip2(_) => "(cd part && mv range range.bz2 && bzip2recover range.bz2)\nbzip2 -dc part/rec*range.bz2",
        Compression::Zstd(_) => "tail -c +$((BIT / 8 - BASE + 1)) part/range | zstd -dc",
        Compression::None => "tail -c +$((BIT / 8 - BASE + 1)) part/range",
    };
    let (dump, iterations) = (quoted(base_name(&dump.key)), manifest.iterations);
    let index = format!("{} > inventory.json\n", opened(manifest, inventory));
    let commands = format!(
        r#"T='public.orders'
{index}eval "$(jq -r --arg t "$T" '(.tables[] | select(.name == $t)) as $t
  | ([.part_index[] | select(.plain_offset <= $t.offset)] | last) as $a
  | ([.part_index[] | select(.plain_offset >= $t.offset + $t.length and .part > $a.part)] | first) as $b
  | "SKIP=\($t.offset - $a.plain_offset) LENGTH=\($t.length) FROM=\($a.part) TO=\($b.part // 10000) BIT=\($a.bit_offset) IV=\($a.vector)"' inventory.json)"
SIZES='.objects[] | select(.role == "dump") | .part_sizes // [.size]'
START=$(head -n1 {manifest_name} | jq "$SIZES | .[:$FROM - 1] | add // 16")
END=$(head -n1 {manifest_name} | jq "$SIZES | .[:$TO] | add")
BASE=$((START - 16))
SALT=$(tail -c +9 {dump} | head -c 8 | od -An -tx1 | tr -d ' \n')
K=$(openssl enc -aes-256-cbc -pbkdf2 -iter {iterations} -md sha256 -pass file:key.txt -S "$SALT" -P </dev/null | sed -n 's/^key=//p')
mkdir part
tail -c +$((START + 1)) {dump} | head -c $((END - START)) | openssl enc -d -aes-256-cbc -nopad -K "$K" -iv "$IV" -out part/range
{plain} | tail -c +$((SKIP + 1)) | head -c "$LENGTH" > table.sql
rm -r part
"#,
        manifest_name = quoted(manifest_name),
    );
    Ok(format!(
        "\n## One table alone\n\nOnly the parts that hold it are decrypted; `T` is its name as the inventory writes it. Without the whole dump, fetch the bytes\n\
         from `$START` to before `$END` of it alone. `table.sql` is then a COPY with its rows. (Tools that read on behind the last\n\
         whole block may say that it is cut short.)\n{}",
        block(&commands)
    ))
}
