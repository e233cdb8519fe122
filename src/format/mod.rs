//! The nouns of `docs/FORMAT.md` that more than one side of the program reads or writes.

pub mod database_properties;
pub mod dump_commands;
pub mod dump_lexer;
pub mod dump_statement;
pub mod order;
pub mod table_name;
