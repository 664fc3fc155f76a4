//! The whole outlook over simulated runs: how near the end was to what was said, and how often the band held it.

use std::time::Duration;

use super::{Outlook, Promise, Took};
use crate::predict::Features;
use crate::{Bytes, Timestamp};

struct Dice(u64);

impl Dice {
    /// Uniform in [0, 1): splitmix64 (Steele et al. 2014).
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

struct Task {
    size: u64,
    seconds: f64,
}

struct Running {
    at: usize,
    began: f64,
    promise: Option<Promise>,
}

/// Run times grow with size to the power 0.8, times a log-normal error.
fn tasks(dice: &mut Dice, count: usize, noise: f64) -> Vec<Task> {
    (0..count)
        .map(|_| {
            let size = 1e6 * (4.6 * dice.uniform()).exp();
            let seconds = 0.5 * (size / 1e6).powf(0.8) * (noise * dice.normal()).exp();
            Task { size: size as u64, seconds }
        })
        .collect()
}

/// Runs the tasks in so many places; what was said after each of these shares of them had ended, and
/// what was left then: (likely, low, high, left).
fn run(tasks: &[Task], places: usize, ask: &[f64]) -> Vec<(f64, f64, f64, f64)> {
    let (mut outlook, mut now, mut said) = (Outlook::default(), 0.0, Vec::new());
    tasks.iter().for_each(|task| outlook.queued(&Features::sized(Bytes(task.size))));
    let (mut next, mut done, mut read) = (0, 0, 0.0);
    let mut running: Vec<Running> = Vec::new();
    let stamp = |now: f64| Timestamp((now * 1e6) as u64);
    while done < tasks.len() {
        while running.len() < places && next < tasks.len() {
            let promise = outlook.admitted(&Features::sized(Bytes(tasks[next].size)));
            running.push(Running { at: next, began: now, promise });
            next += 1;
        }
        let end = |one: &Running| one.began + tasks[one.at].seconds;
        let first =
            (0..running.len()).min_by(|a, b| end(&running[*a]).total_cmp(&end(&running[*b]))).unwrap();
        let ends = end(&running[first]);
        if read + 1.0 < ends {
            now = read + 1.0;
            read = now;
            outlook.advance(stamp(now), running.len() as u32);
            outlook.read(0, running.iter().map(|one| (now - one.began, one.promise)));
            if ask.get(said.len()).is_some_and(|share| done as f64 >= share * tasks.len() as f64) {
                let under_way = running.iter().map(|one| (now - one.began, one.promise));
                if let Some(eta) = outlook.eta(Duration::from_secs_f64(now), under_way) {
                    let [likely, low, high] = [eta.likely, eta.low, eta.high].map(|one| one.as_secs_f64());
                    said.push((likely, low, high, now));
                }
            }
            continue;
        }
        now = ends;
        outlook.advance(stamp(now), running.len() as u32);
        let one = running.swap_remove(first);
        let task = &tasks[one.at];
        outlook.done(one.promise.as_ref(), task.seconds);
        let size = task.size as f64;
        let took = Took { seconds: task.seconds, cpu: task.seconds, io: size, peak: size, output: None };
        outlook.completed(stamp(now), &Features::sized(Bytes(task.size)), one.promise.as_ref(), took);
        done += 1;
    }
    said.into_iter().map(|(likely, low, high, at)| (likely, low, high, now - at)).collect()
}

#[test]
fn the_end_lies_near_what_was_said_and_mostly_within_the_band() {
    let (mut held, mut asked, mut errors) = (0, 0, Vec::new());
    for seed in 0..12 {
        let mut dice = Dice(seed);
        let noise = [0.05, 0.2, 0.5][seed as usize % 3];
        let tasks = tasks(&mut dice, 200, noise);
        for (likely, low, high, left) in run(&tasks, 2 + seed as usize % 7, &[0.1, 0.3, 0.6]) {
            asked += 1;
            held += usize::from(low <= left && left <= high);
            errors.push((likely / left).ln().abs());
        }
    }
    errors.sort_unstable_by(f64::total_cmp);
    let (median, most) = (errors[errors.len() / 2], errors[errors.len() * 9 / 10]);
    let share = f64::from(held as u32) / f64::from(asked as u32);
    assert_eq!(asked, 36);
    assert!(median < 0.09 && most < 0.3, "median error {median:.3}, nine in ten within {most:.3}");
    assert!((0.65..=0.97).contains(&share), "the band held {share:.2}");
}
