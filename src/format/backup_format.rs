//! The formats that a backup can have.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Pgseal1,
    Legacy,
}

impl Format {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pgseal1 => "pgseal/1",
            Self::Legacy => "legacy",
        }
    }
}
