//! What a drill says of its confinement.

use super::Confinement;
use serde::Serialize;

/// What the kernel enforced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EnforcedLayers {
    /// The version of Landlock's interface.
    pub landlock: Option<u32>,
    pub seccomp: bool,
}

/// Which confinement held in a drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Landlock {
    pub abi: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ConfinementReport {
    Held {
        landlock: Option<Landlock>,
        seccomp: bool,
        /// Server and psql ran as users of their own.
        users: bool,
    },
    None(NoConfinement),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoConfinement {
    None,
}

impl ConfinementReport {
    pub(crate) fn new(enforced: EnforcedLayers, users: bool) -> Self {
        match (enforced, users) {
            (EnforcedLayers::NONE, false) => Self::NONE,
            (EnforcedLayers { landlock, seccomp }, users) => Self::Held {
                landlock: landlock.map(|abi| Landlock { abi }),
                seccomp,
                users,
            },
        }
    }

    pub(crate) const NONE: Self = Self::None(NoConfinement::None);

    /// For people.
    pub(crate) fn in_words(&self) -> String {
        let Self::Held { landlock, seccomp, users } = self else {
            return "none: the backup's code ran with the rights of who drilled".to_owned();
        };
        let words = [
            landlock.map(|landlock| format!("Landlock (ABI {})", landlock.abi)),
            seccomp.then(|| "seccomp".to_owned()),
            users.then(|| "users of their own".to_owned()),
        ];
        words.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

impl EnforcedLayers {
    pub(super) const NONE: Self = Self {
        landlock: None,
        seccomp: false,
    };

    /// What this machine enforces, tried on a thread that ends with it.
    pub(crate) fn probe() -> Self {
        let nothing = Confinement::default();
        std::thread::spawn(move || nothing.enforce().unwrap_or_default())
            .join()
            .unwrap_or_default()
    }
}
