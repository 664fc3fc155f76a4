//! The notations of values: read, refused, and written so that they are read again as the same.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::config::{
    ByteSize, GlobPattern, HumanDuration, Limit, Percent, RetryCause, Scalar, Signal, Threshold, TimeLimit,
};
use crate::placement::Placement;
use crate::scheduler::{FailureCategory, FailureReason};

#[test]
fn durations() {
    let millis = |value: Value| HumanDuration::parse(&value).ok().map(HumanDuration::as_millis);
    let good = [
        (json!(2), 2_000),
        (json!(0.5), 500),
        (json!("500ms"), 500),
        (json!("10s"), 10_000),
        (json!(" 5 m "), 300_000),
        (json!("2h"), 7_200_000),
        (json!("7d"), 604_800_000),
        (json!("1.5m"), 90_000),
        (json!("3"), 3_000),
        (json!(0), 0),
    ];
    for (value, expected) in good {
        assert_eq!(millis(value.clone()), Some(expected), "{value}");
    }
    for bad in [
        json!(-1),
        json!("s"),
        json!(""),
        json!("5 weeks"),
        json!("1e3s"),
        json!("inf"),
        json!(true),
        json!(1e18),
        json!("1.2.3s"),
        json!("-5s"),
    ] {
        assert_eq!(millis(bad.clone()), None, "{bad}");
    }
}

#[test]
fn sizes() {
    let bytes = |value: Value| ByteSize::parse(&value).ok().map(ByteSize::get);
    let good = [
        (json!(7), 7),
        (json!("10MiB"), 10 << 20),
        (json!("1GB"), 1_000_000_000),
        (json!("1 G"), 1 << 30),
        (json!("64k"), 64 << 10),
        (json!("1.5KiB"), 1536),
        (json!("9"), 9),
        (json!(18_446_744_073_709_551_615_u64), u64::MAX),
    ];
    for (value, expected) in good {
        assert_eq!(bytes(value.clone()), Some(expected), "{value}");
    }
    for bad in [json!(-1), json!(1.5), json!("MiB"), json!("1XB"), json!("99999999999TiB"), json!(null)] {
        assert_eq!(bytes(bad.clone()), None, "{bad}");
    }
}

#[test]
fn signals() {
    let number = |value: Value| Signal::parse(&value).ok().map(Signal::number);
    for (value, expected) in
        [(json!("SIGTERM"), 15), (json!("kill"), 9), (json!("SIGSYS"), 31), (json!(2), 2), (json!("34"), 34)]
    {
        assert_eq!(number(value.clone()), Some(expected), "{value}");
    }
    for bad in [json!(0), json!(65), json!("SIG"), json!(""), json!("SIGFOO"), json!(-9)] {
        assert_eq!(number(bad.clone()), None, "{bad}");
    }
}

#[test]
fn thresholds_are_reached_by_count_or_share() {
    assert!(Threshold::Count(2).reached(2, 100) && !Threshold::Count(2).reached(1, 100));
    assert!(Threshold::Share(10.0).reached(10, 100) && !Threshold::Share(10.0).reached(9, 100));
    assert!(!Threshold::Share(10.0).reached(0, 0));
}

#[test]
fn causes_match_the_failures_they_name() {
    let cause = |text: &str| RetryCause::parse(&json!(text)).unwrap();
    assert!(
        cause("75").matches(&FailureReason::ExitCode(75))
            && !cause("75").matches(&FailureReason::ExitCode(1))
    );
    assert!(cause("exit").matches(&FailureReason::ExitCode(1)));
    assert!(
        cause("SEGV").matches(&FailureReason::Signal(11))
            && !cause("SEGV").matches(&FailureReason::Signal(9))
    );
    assert!(
        cause("signal").matches(&FailureReason::Signal(9))
            && !cause("signal").matches(&FailureReason::OutOfMemory)
    );
    assert!(cause("disk-full").matches(&FailureReason::DiskFull));
    let retry = crate::config::model::Retry { never_on: vec![cause("2")], ..Default::default() };
    assert!(retry.covers(&FailureReason::ExitCode(1)) && !retry.covers(&FailureReason::ExitCode(2)));
    assert!(!retry.covers(&FailureReason::InputVanished));
}

fn written_and_read<
    T: Scalar + PartialEq + std::fmt::Debug + serde::Serialize + serde::de::DeserializeOwned,
>(
    value: &T,
) {
    assert_eq!(T::parse(&value.render()).as_ref(), Ok(value));
    let yaml = serde_yaml::to_string(value).unwrap();
    assert_eq!(&serde_yaml::from_str::<T>(&yaml).unwrap(), value, "{yaml}");
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(millis in 0..3_000_000_000_000_u64, bytes: u64, number in 1..=64_i64, code in 1..=255_u8, percent in 1..=10_000_u32, count in 1..u64::MAX) {
        let percent = f64::from(percent) / 100.0;
        written_and_read(&HumanDuration::from_millis(millis));
        written_and_read(&ByteSize::new(bytes));
        written_and_read(&Signal::new(number).unwrap());
        written_and_read(&RetryCause::ExitCode(code));
        written_and_read(&RetryCause::SignalNamed(Signal::new(number.min(31)).unwrap()));
        written_and_read(&RetryCause::Kind(FailureCategory::InvalidOutput));
        written_and_read(&Percent::new(percent).unwrap());
        written_and_read(&Threshold::Share(percent));
        written_and_read(&Threshold::Count(count));
        written_and_read(&TimeLimit::OfMedian(percent));
        written_and_read(&TimeLimit::Absolute(HumanDuration::from_millis(millis.max(1))));
        written_and_read(&Limit::at_most(u32::from(code)));
        written_and_read(&Limit::AUTO);
        written_and_read(&Placement::Core(u32::from(code)));
        written_and_read(&Placement::Node);
        written_and_read(&GlobPattern::parse(&json!("*.{gz,xz}")).unwrap());
    }
}
