//! The filter over a plain dump: the same in pieces of any size, nothing of a table's rows, of a function's body or of a text
//! is ever lost, and nothing that psql would run by itself passes.
//!
//! Input: a byte for what is left out, a byte for the pieces' length, a byte for the form, text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pgseal::error::Code;
use pgseal::format::dump_lexer::{DumpLexer, Lexed};
use pgseal::pipeline::{BufferSink, Stage};
use pgseal::restore::filter::{Filter, FilterOptions};
use pgseal_fuzz::Input;

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let what = input.byte();
    let options = FilterOptions {
        no_owner: what & 1 != 0,
        no_privileges: what & 2 != 0,
        no_transactions: what & 4 != 0,
        settings_newer_than: (what & 8 != 0).then_some(9 + u32::from(what >> 4)),
        no_comments: what & 16 != 0,
        no_tablespaces: what & 32 != 0,
        set_aside: what & 64 != 0,
        superuser_only: what & 128 != 0,
        ..FilterOptions::default()
    };
    let piece = 1 + usize::from(input.byte());
    let form = input.byte();
    let text = input.rest();

    let whole = filtered(text, &options, usize::MAX);
    assert!(whole == filtered(text, &options, piece), "in pieces of {piece}");
    if let Ok(output) = &whole {
        has_no_command(output);
    }

    if let Some(dump) = kept(form, text).filter(|dump| !dump.contains(&0)) {
        let all = FilterOptions {
            no_owner: true,
            no_privileges: true,
            settings_newer_than: Some(11),
            ..FilterOptions::default()
        };
        let dump = [b"ALTER TABLE t OWNER TO x;\n".as_slice(), &dump, b"GRANT ALL ON t TO x;\n"].concat();
        let output = filtered(&dump, &all, piece).expect("nothing to be refused");
        assert!(
            output.windows(dump.len() - 48).any(|window| window == &dump[27..dump.len() - 21]),
            "something was lost: {:?}",
            String::from_utf8_lossy(&dump)
        );
    }
});

fn filtered(text: &[u8], options: &FilterOptions, piece: usize) -> Result<Vec<u8>, Code> {
    let mut filter = Filter::new(options.clone(), BufferSink::default());
    for piece in text.chunks(piece) {
        filter.put(piece).map_err(|error| error.code)?;
    }
    filter.finish().map(|filtered| filtered.below).map_err(|error| error.code)
}

fn has_no_command(mut output: &[u8]) {
    let mut lexer = DumpLexer::default();
    while !output.is_empty() {
        let (read, lexed) = lexer.read(output);
        assert!(lexed != Lexed::Command && lexed != Lexed::Variable && lexer.fault().is_none());
        output = &output[read..];
    }
}

/// What must pass whatever it says: rows, a body in dollar quotes, a text, a quoted name, a comment.
fn kept(form: u8, text: &[u8]) -> Option<Vec<u8>> {
    let has = |end: &[u8]| text.windows(end.len()).any(|window| window == end);
    let doubled = |quote: u8| {
        text.iter()
            .flat_map(move |byte| std::iter::repeat_n(*byte, if *byte == quote { 2 } else { 1 }))
            .collect::<Vec<u8>>()
    };
    let escaped = || {
        text.iter()
            .flat_map(|byte| [b'\\', *byte].into_iter().skip(usize::from(!b"'\\".contains(byte))))
            .collect::<Vec<u8>>()
    };
    Some(match form % 6 {
        0 if !text.starts_with(b"\\.\n") && !has(b"\n\\.\n") && !text.ends_with(b"\n\\.") && text != b"\\." => {
            [b"COPY public.t (a, \"b;\") FROM stdin;\n".as_slice(), text, b"\n\\.\n"].concat()
        }
        // What is read must not end in a part of the closing tag.
        1 if !has(b"$") => [b"CREATE FUNCTION f() RETURNS void AS $_$".as_slice(), text, b"$_$ LANGUAGE sql;\n"].concat(),
        2 => [b"COMMENT ON TABLE t IS '".as_slice(), &doubled(b'\''), b"';\n"].concat(),
        3 => [b"COMMENT ON TABLE t IS E'".as_slice(), &escaped(), b"';\n"].concat(),
        4 => [b"CREATE TABLE \"".as_slice(), &doubled(b'"'), b"\" ();\n"].concat(),
        5 if !has(b"\n") && !has(b"\r") => [b"-- ".as_slice(), text, b"\n"].concat(),
        _ => return None,
    })
}
