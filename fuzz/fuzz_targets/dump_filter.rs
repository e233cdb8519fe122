//! The filter over a plain dump: the same in pieces of any size, nothing of a table's rows, of a function's body or of a text
//! is ever lost, and what was filtered needs no more filtering.
//!
//! Input: a byte for what is left out, a byte for the pieces' length, a byte for the form, text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pgseal::pipeline::{Memory, Stage};
use pgseal::restore::filter::{Filter, Without};
use pgseal_fuzz::Input;

const ALL: Without = Without {
    owner: true,
    privileges: true,
    transactions: true,
    settings_newer_than: Some(11),
};

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let what = input.byte();
    let without = Without {
        owner: what & 1 != 0,
        privileges: what & 2 != 0,
        transactions: what & 4 != 0,
        settings_newer_than: (what & 8 != 0).then_some(9 + u32::from(what >> 4)),
    };
    let piece = 1 + usize::from(input.byte());
    let form = input.byte();
    let text = input.rest();

    let whole = filtered(text, without, usize::MAX);
    assert!(whole == filtered(text, without, piece), "in pieces of {piece}");
    assert!(whole == filtered(&whole, without, usize::MAX), "filtered twice");
    assert!(without != Without::default() || whole == text);
    is_part_of(&whole, text);

    if let Some(dump) = kept(form, text) {
        let dump = [b"ALTER TABLE t OWNER TO x;\n".as_slice(), &dump, b"GRANT ALL ON t TO x;\n"].concat();
        let expected = [b"\n".as_slice(), &dump[26..dump.len() - 21], b"\n"].concat();
        assert!(
            filtered(&dump, ALL, piece) == expected,
            "something was lost: {:?}",
            String::from_utf8_lossy(&dump)
        );
    }
});

fn filtered(text: &[u8], without: Without, piece: usize) -> Vec<u8> {
    let mut filter = Filter::new(without, Memory::default());
    text.chunks(piece).for_each(|piece| filter.put(piece).expect("memory takes all"));
    filter.finish().expect("memory takes all")
}

/// Only left out, never written anew.
fn is_part_of(output: &[u8], input: &[u8]) {
    let mut rest = input.iter();
    assert!(output.iter().all(|byte| rest.any(|known| known == byte)));
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
        5 if !has(b"\n") => [b"-- ".as_slice(), text, b"\n"].concat(),
        _ => return None,
    })
}
