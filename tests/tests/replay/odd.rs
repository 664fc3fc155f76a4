//! `replay-trace` on input that is not as it should be: one sentence and an exit code, or a sensible answer.

use std::fs;
use std::io::Read;
use std::process::Stdio;

use orchestrator_tests::host::Outcome;
use orchestrator_tests::scene::Scene;
use serde_json::Value;

const HEADER: &str = "workflow,task,seq,input_bytes,runtime_s,peak_rss_bytes,user_mem_bytes";

/// The values of row `i` of a healthy trace, in the order of [`HEADER`].
fn values(i: u64) -> [String; 7] {
    let size = 1_000_000 * (1 + i * 31 % 59);
    let peak = 70_000_000 + 3 * size + i % 7 * 1_000_000;
    [
        "flow".into(),
        "align".into(),
        i.to_string(),
        size.to_string(),
        format!("{}.5", 1 + i * 31 % 59),
        peak.to_string(),
        "4e9".into(),
    ]
}

fn healthy(rows: u64) -> String {
    let lines = (0..rows).map(|i| values(i).join(","));
    std::iter::once(HEADER.to_owned()).chain(lines).map(|line| line + "\n").collect()
}

fn replay_with(trace: impl AsRef<[u8]>, arguments: &[&str]) -> Outcome {
    let scene = Scene::new();
    fs::write(scene.join("trace.csv"), trace).unwrap();
    let mut words = vec!["replay-trace", "trace.csv", "--format", "json"];
    words.extend_from_slice(arguments);
    scene.run(&words)
}

fn replay(trace: impl AsRef<[u8]>) -> Outcome {
    replay_with(trace, &[])
}

fn lines(outcome: &Outcome) -> Vec<Value> {
    outcome.stdout.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

#[test]
fn how_it_is_written_changes_no_answer() {
    let plain = replay(healthy(60)).expect_code(0);
    assert_eq!(lines(&plain).len(), 61);
    let order = [5, 2, 0, 6, 4, 1, 3];
    let shuffled = |values: Vec<String>| order.map(|at| values[at].clone()).join(",x,") + "\n";
    let names: Vec<String> = HEADER.split(',').map(str::to_owned).collect();
    let turned: String =
        std::iter::once(names).chain((0..60).map(|i| values(i).to_vec())).map(shuffled).collect();
    let quoted: String = healthy(60)
        .lines()
        .map(|line| line.split(',').map(|value| format!("\"{value}\"")).collect::<Vec<_>>().join(",") + "\n")
        .collect();
    let written = [
        ("columns in another order, and unknown ones", turned),
        ("quotes", quoted),
        ("CRLF", healthy(60).replace('\n', "\r\n")),
        ("blank lines", healthy(60).replace('\n', "\n\n  \n")),
        ("a byte order mark", format!("\u{feff}{}", healthy(60))),
        ("no newline at the end", healthy(60).trim_end().to_owned()),
    ];
    for (what, trace) in written {
        let outcome = replay(trace).expect_code(0);
        assert_eq!((&outcome.stdout, outcome.stderr.as_str()), (&plain.stdout, ""), "{what}");
    }
}

#[test]
fn unknown_sizes_are_unknown_however_they_are_written() {
    let with = |size: &str| -> String {
        let row = |i: u64| {
            let mut values = values(i);
            values[3] = size.to_owned();
            values.join(",") + "\n"
        };
        format!("{HEADER}\n{}", (0..60).map(row).collect::<String>())
    };
    let unknown = replay(with("-1")).expect_code(0).stdout;
    for size in ["", "-1.0", "nan", "NaN", "-7e300"] {
        assert_eq!(replay(with(size)).expect_code(0).stdout, unknown, "{size}");
    }
    let without: String = with("-1")
        .lines()
        .map(|line| {
            let mut values: Vec<&str> = line.split(',').collect();
            values.remove(3);
            values.join(",") + "\n"
        })
        .collect();
    assert_eq!(replay(without).expect_code(0).stdout, unknown);
    assert_ne!(replay(healthy(60)).stdout, unknown);
}

#[test]
fn what_cannot_be_replayed_is_said_in_one_sentence() {
    let row = |at: usize, value: &str| {
        let mut values = values(5);
        values[at] = value.to_owned();
        format!("{}{}\n", healthy(5), values.join(","))
    };
    let cases: [(Vec<u8>, usize, &str); 10] = [
        (Vec::new(), 0, "the trace is empty: its first line names the columns"),
        (b"\n\n".to_vec(), 0, "the trace is empty"),
        (
            b"workflow,task,seq,runtime_s\n".to_vec(),
            0,
            "has no column peak_rss_bytes: name it in the first line",
        ),
        (row(4, "NaN").into(), 5, "line 7 of the trace: runtime_s is"),
        (row(4, "-2").into(), 5, "line 7 of the trace: runtime_s is"),
        (row(5, "").into(), 5, "line 7 of the trace: peak_rss_bytes is"),
        (row(5, "much").into(), 5, "line 7 of the trace: peak_rss_bytes is"),
        (row(1, "\"open").into(), 5, "line 7 of the trace opens a quote"),
        (format!("{}flow,align\n", healthy(5)).into(), 5, "line 7 of the trace has no value for seq"),
        ([healthy(5).as_bytes(), b"flow,\xff\xfe,5,1,1,1,1\n"].concat(), 5, "valid UTF-8"),
    ];
    for (trace, answered, words) in cases {
        let code = if words == "valid UTF-8" { 74 } else { 2 };
        let outcome = replay(trace).expect_code(code).expect_words(&[words, "trace.csv"]);
        assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
        assert_eq!(lines(&outcome).len(), answered, "rows before the fault are answered: {}", outcome.text());
    }
    let scene = Scene::new();
    scene.run(&["replay-trace", "nowhere.csv"]).expect_code(74).expect_words(&["nowhere.csv"]);
    scene.run(&["replay-trace", "in"]).expect_code(74).expect_words(&["directory"]);
}

#[test]
fn extremes_give_finite_ascending_ladders_and_totals() {
    let extremes = ["0", "1", "63999999", "64000000", "1e18", "1e300", "18446744073709551615"];
    let mut trace = format!("{HEADER}\n");
    for i in 0..140u64 {
        let any = |step: u64| extremes[(i * step % 7) as usize];
        let seconds = ["0", "1e-9", "1e12", "3", "0.001"][(i % 5) as usize];
        trace += &format!("w,t,{i},{},{seconds},{},{}\n", any(3), any(1), any(2));
    }
    let outcome = replay(trace).expect_code(0);
    let lines = lines(&outcome);
    let (totals, rows) = lines.split_last().unwrap();
    assert_eq!(rows.len(), 140);
    for row in rows {
        let ladder: Vec<u64> =
            row["ladder_bytes"].as_array().unwrap().iter().map(|rung| rung.as_u64().unwrap()).collect();
        assert!(!ladder.is_empty() && ladder.is_sorted() && ladder[0] >= 64_000_000, "{row}");
        for amount in row["runtime_s"].as_object().unwrap().values() {
            assert!(amount.is_null() || amount.as_f64().unwrap() > 0.0, "{row}");
        }
    }
    for name in ["cost_gbh", "maq", "runtime_median_error"] {
        assert!(totals["totals"][name].as_f64().unwrap() >= 0.0, "{totals}");
    }
}

#[test]
fn a_lag_of_zero_learns_at_once_and_an_endless_one_never() {
    let ladder = |line: &Value| line["ladder_bytes"].as_array().unwrap().clone();
    let zero = lines(&replay_with(healthy(60), &["--lag", "0"]).expect_code(0));
    assert_ne!(ladder(&zero[1]), ladder(&zero[0]), "the first result is known at once");
    let never = lines(&replay_with(healthy(60), &["--lag", "18446744073709551615"]).expect_code(0));
    assert!(
        never[..60]
            .iter()
            .all(|line| ladder(line) == [4_000_000_000u64] && line["runtime_s"]["p50"].is_null())
    );
    replay_with(healthy(60), &["--lag=-1"]).expect_code(2).expect_words(&["--lag"]);
}

#[test]
fn rows_out_of_order_are_told_of_once_and_taken_as_they_come() {
    let mut rows: Vec<u64> = (0..60).collect();
    rows.swap(20, 21);
    rows.swap(40, 50);
    let trace: String = rows.iter().map(|i| values(*i).join(",") + "\n").collect();
    let outcome = replay(format!("{HEADER}\n{trace}")).expect_code(0);
    assert_eq!(outcome.stderr.matches("seq goes back from 21 to 20").count(), 1, "{}", outcome.stderr);
    assert_eq!(outcome.stderr.matches("seq goes back").count(), 1, "{}", outcome.stderr);
    let said: Vec<u64> = lines(&outcome)[..60].iter().map(|line| line["seq"].as_u64().unwrap()).collect();
    assert_eq!(said, rows);
}

#[test]
fn a_header_alone_has_totals_of_nothing() {
    let outcome = replay(format!("{HEADER}\n")).expect_code(0);
    let lines = lines(&outcome);
    assert_eq!((lines.len(), &lines[0]["totals"]["n"]), (1, &Value::from(0)));
}

#[test]
fn a_reader_that_goes_away_is_nobodys_fault() {
    let scene = Scene::new();
    // Far more than a pipe holds.
    fs::write(scene.join("trace.csv"), healthy(3000)).unwrap();
    let mut command = scene.command(&["replay-trace", "trace.csv", "--format", "json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0u8; 64];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
}
