//! The commands of psql's that a plain dump may hold: one `\restrict KEY` at its head and the `\unrestrict KEY` at its end, which
//! `pg_dump` has written since August 2025.

/// Of a command's line: more than the two that are allowed.
const LINE: usize = 1 << 10;

/// Sees every command of a dump, in its order.
#[derive(Debug, Default)]
pub(crate) struct DumpCommands {
    key: Option<Vec<u8>>,
    is_closed: bool,
    line: Vec<u8>,
}

impl DumpCommands {
    /// A part of a command. `inside`: a statement has begun and not ended; `behind`: there were some before. The error is the
    /// beginning of a line that no `pg_dump` writes, for people.
    pub(crate) fn read(&mut self, part: &[u8], inside: bool, behind: bool) -> Result<(), String> {
        self.line.extend_from_slice(part);
        if inside || self.line.len() > LINE {
            return Err(self.refused());
        }
        if self.line.ends_with(b"\n") { self.end(behind) } else { Ok(()) }
    }

    fn end(&mut self, behind: bool) -> Result<(), String> {
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let is_key = |key: &[u8]| !key.is_empty() && key.iter().all(u8::is_ascii_alphanumeric);
        if let Some(key) = line.strip_prefix(b"\\restrict ").filter(|key| is_key(key)) {
            if self.key.is_none() && !behind {
                self.key = Some(key.to_vec());
                self.line.clear();
                return Ok(());
            }
        } else if let Some(key) = line.strip_prefix(b"\\unrestrict ")
            && self.key.as_deref() == Some(key)
            && !self.is_closed
        {
            self.is_closed = true;
            self.line.clear();
            return Ok(());
        }
        Err(self.refused())
    }

    /// A command has no end, and psql would run it.
    pub(crate) fn finish(&self) -> Result<(), String> {
        if self.line.is_empty() { Ok(()) } else { Err(self.refused()) }
    }

    fn refused(&self) -> String {
        let line = String::from_utf8_lossy(&self.line[..self.line.len().min(80)]);
        let line: String = line.trim_end().chars().flat_map(char::escape_default).collect();
        line.replace("\\\\", "\\")
    }

    /// `\unrestrict` has been seen: nothing may follow.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// The head's `\restrict` still waits for its end.
    pub(crate) fn is_open(&self) -> bool {
        self.key.is_some() && !self.is_closed
    }
}
