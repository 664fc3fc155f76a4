//! Tests of templates.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use proptest::prelude::*;

use super::*;

fn values(input: &Path) -> Placeholders<'_> {
    Placeholders {
        input_file: input,
        output_file: Path::new("/tmp/7/out"),
        input_size: Bytes(42),
        output_dir: Path::new("/out"),
        temp_dir: Path::new("/tmp/7"),
        task_id: TaskId(7),
        attempt: 2,
        slot: SlotId(3),
        seq: 9,
        run_id: RunId(1),
    }
}

fn expanded(source: &str) -> String {
    let template = Template::parse(source).unwrap();
    template.expand(&values(Path::new("/in/a.tar.gz"))).into_string().unwrap()
}

#[test]
fn every_placeholder_has_its_value() {
    let source = "{input_file}|{output_file}|{input_name}|{input_stem}|{input_dir}|{input_size}|{output_dir}|{temp_dir}|{task_id}|{attempt}|{slot}|{seq}|{run_id}";
    assert_eq!(expanded(source), "/in/a.tar.gz|/tmp/7/out|a.tar.gz|a.tar|/in|42|/out|/tmp/7|7|2|3|9|1");
    assert!(
        Placeholder::ALL.iter().all(|placeholder| Template::parse(source).unwrap().mentions(*placeholder))
    );
}

#[test]
fn doubled_braces_are_braces() {
    assert_eq!(expanded("{{print $1}} {{{input_name}}} {{}}"), "{print $1} {a.tar.gz} {}");
    assert!(!Template::parse("{{input_file}}").unwrap().mentions(Placeholder::InputFile));
}

#[test]
fn unknown_names_get_the_nearest() {
    let unknown = |name: &str, nearest| TemplateError::Unknown { name: name.to_owned(), nearest };
    assert_eq!(Template::parse("{input_fle}"), Err(unknown("input_fle", Some("input_file"))));
    assert_eq!(Template::parse("{InputFile}"), Err(unknown("InputFile", Some("input_file"))));
    assert_eq!(Template::parse("x{}"), Err(unknown("", None)));
    assert_eq!(Template::parse("{print $1}"), Err(unknown("print $1", None)));
    assert_eq!(
        Template::parse("{chunk_index}"),
        Err(TemplateError::Reserved { name: "chunk_index".to_owned() })
    );
}

#[test]
fn single_braces_are_refused_with_their_place() {
    assert_eq!(Template::parse("a{input_file"), Err(TemplateError::Unbalanced { brace: '{', at: 1 }));
    assert_eq!(Template::parse("a}b"), Err(TemplateError::Unbalanced { brace: '}', at: 1 }));
    assert_eq!(Template::parse("{a{b}}"), Err(TemplateError::Unbalanced { brace: '{', at: 0 }));
    assert_eq!(Template::parse("a\0"), Err(TemplateError::Nul { at: 1 }));
}

#[test]
fn names_that_are_not_utf8_go_in_byte_for_byte() {
    let input = OsString::from_vec(b"/in/-x \xff\n{attempt}.dat".to_vec());
    let template = Template::parse("--in={input_file}").unwrap();
    let expanded = template.expand(&values(Path::new(&input)));
    assert_eq!(expanded.as_bytes(), b"--in=/in/-x \xff\n{attempt}.dat");
    let name = Template::parse("{input_stem}").unwrap().expand(&values(Path::new(&input)));
    assert_eq!(name.as_bytes(), b"-x \xff\n{attempt}");
}

#[test]
fn the_environment_carries_the_same_facts() {
    let environment = values(Path::new("/in/a.dat")).environment();
    assert_eq!(environment.len(), Placeholder::ALL.len());
    let value = |name: &str| environment.get(name).map(|value| value.to_str().unwrap());
    assert_eq!(value("ORCHESTRATOR_INPUT_FILE"), Some("/in/a.dat"));
    assert_eq!(value("ORCHESTRATOR_TASK_ID"), Some("7"));
    assert_eq!(value("ORCHESTRATOR_SLOT"), Some("3"));
}

#[test]
fn a_shell_line_quotes_values_and_leaves_syntax() {
    let flags =
        [Template::parse("-c").unwrap(), Template::parse("< {input_file} | head > {output_file}").unwrap()];
    let line = shell_line(Path::new("/opt/my tool"), &flags, &values(Path::new("/in/it's; rm $x")));
    assert_eq!(line, OsStr::new(r"'/opt/my tool' -c < '/in/it'\''s; rm $x' | head > '/tmp/7/out'"));
}

/// What a POSIX shell makes of one word of single quotes and `\'`.
fn unquoted(word: &[u8]) -> Vec<u8> {
    let (mut out, mut quoted, mut rest) = (Vec::new(), false, word);
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'\'' => quoted = !quoted,
            b'\\' if !quoted => {
                out.push(rest[0]);
                rest = &rest[1..];
            }
            _ => out.push(byte),
        }
    }
    assert!(!quoted);
    out
}

proptest! {
    #[test]
    fn a_literal_expands_to_itself(text in "[^\0]{0,40}") {
        let template = Template::literal(&text).unwrap();
        prop_assert_eq!(template.expand(&values(Path::new("/x"))), OsStr::new(&text));
    }

    #[test]
    fn text_and_values_keep_their_order(before in "[^{}\0]{0,10}", name in proptest::collection::vec(1..=255_u8, 1..20), after in "[^{}\0]{0,10}") {
        let input = OsString::from_vec([b"/in/".as_slice(), &name].concat());
        let template = Template::parse(&format!("{before}{{input_file}}{after}")).unwrap();
        let expected = [before.as_bytes(), input.as_bytes(), after.as_bytes()].concat();
        prop_assert_eq!(template.expand(&values(Path::new(&input))).into_vec(), expected);
    }

    #[test]
    fn any_text_parses_or_is_refused(text in any::<String>()) {
        if let Ok(template) = Template::parse(&text) {
            prop_assert_eq!(Template::parse(template.source()), Ok(template));
        }
    }

    #[test]
    fn quoting_is_undone_by_the_shell(value in proptest::collection::vec(1..=255_u8, 0..40)) {
        let quoted = shell_quote(OsStr::from_bytes(&value));
        prop_assert_eq!(unquoted(quoted.as_bytes()), value);
    }
}

#[test]
fn a_placeholder_and_its_variable_bear_one_name() {
    for placeholder in Placeholder::ALL {
        let expected = format!("ORCHESTRATOR_{}", placeholder.name().to_ascii_uppercase());
        assert_eq!(placeholder.variable(), expected);
    }
}
