//! How much of a core a thread got or waited for: who wants one all the time is held back by it, whoever it is that has it.

use std::time::Duration;

/// The account that the kernel keeps of one thread.
#[derive(Debug)]
pub struct Effort {
    #[cfg(target_os = "linux")]
    file: Option<std::fs::File>,
}

impl Effort {
    /// That of the thread that calls. Elsewhere than on Linux, or where its kernel keeps none, nothing is known of it.
    #[cfg(target_os = "linux")]
    #[expect(clippy::disallowed_methods, reason = "files live in src/io, and this one in the kernel")]
    pub fn of_this_thread() -> Self {
        Self { file: std::fs::File::open("/proc/thread-self/schedstat").ok() }
    }

    /// That of the thread that calls: nothing is known of it here.
    #[cfg(not(target_os = "linux"))]
    pub fn of_this_thread() -> Self {
        Self {}
    }

    /// The time for which the thread ran or waited for a core so far, up to a few milliseconds ago.
    pub fn so_far(&self) -> Option<Duration> {
        #[cfg(target_os = "linux")]
        {
            use std::os::unix::fs::FileExt as _;
            let mut text = [0; 96];
            let length = self.file.as_ref()?.read_at(&mut text, 0).ok()?;
            sum(std::str::from_utf8(text.get(..length)?).ok()?)
        }
        #[cfg(not(target_os = "linux"))]
        None
    }
}

/// `schedstat` has the nanoseconds on a core, those in a run queue, and how often (Linux, Documentation/scheduler/sched-stats.rst).
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "there is no such file"))]
fn sum(text: &str) -> Option<Duration> {
    let mut numbers = text.split_ascii_whitespace().map(str::parse::<u64>);
    let (ran, waited) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some(Duration::from_nanos(ran.saturating_add(waited)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_thread_ran_and_waited_is_its_effort() {
        assert_eq!(sum("1500 500 3\n"), Some(Duration::from_nanos(2000)));
        assert_eq!([sum(""), sum("1"), sum("a b c"), sum("-1 2 3")], [None; 4]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_that_works_makes_an_effort() {
        let effort = Effort::of_this_thread();
        let Some(before) = effort.so_far() else { return };
        let began = crate::io::clock::now();
        let mut sum = 0_u64;
        while crate::io::clock::now() < began + Duration::from_millis(60) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let made = effort.so_far().expect("the same file").saturating_sub(before);
        assert!(made > Duration::from_millis(30) && made < Duration::from_secs(20), "{made:?}");
    }
}
