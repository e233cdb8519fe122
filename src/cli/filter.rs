//! Options of `restore` and `drill`: what of a dump is left out.

use crate::restore::filter::FilterOptions;
use clap::Args;

#[derive(Args)]
pub(crate) struct FilterArguments {
    /// Leaves owners out: everything will belong to the user who restores, and no role needs to exist
    #[arg(long)]
    no_owner: bool,
    /// Leaves out grants, and policies and user mappings that name a role
    #[arg(long)]
    no_privileges: bool,
    /// Puts everything into the default tablespace; a drill always does
    #[arg(long)]
    no_tablespaces: bool,
    /// Leaves comments out: those of extensions are for their owners alone
    #[arg(long)]
    no_comments: bool,
    /// Leaves row security out: who may read a table then sees all of its rows
    #[arg(long)]
    no_policies: bool,
    /// Leaves this extension out, which the server lacks; may be given several times
    #[arg(long = "exclude-extension", value_name = "NAME")]
    exclude_extensions: Vec<String>,
    /// Instead of the empty one of a dump, for functions that name things without a schema: 'public, pg_catalog'
    #[arg(long, value_name = "SCHEMAS")]
    search_path: Option<String>,
}

impl FilterArguments {
    pub(crate) fn options(&self) -> FilterOptions {
        FilterOptions {
            no_owner: self.no_owner,
            no_privileges: self.no_privileges,
            no_tablespaces: self.no_tablespaces,
            no_comments: self.no_comments,
            no_policies: self.no_policies,
            exclude_extensions: self.exclude_extensions.iter().map(|name| name.clone().into_bytes()).collect(),
            search_path: self.search_path.clone(),
            ..FilterOptions::default()
        }
    }
}
