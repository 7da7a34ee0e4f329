//! One transmit on its way into the kernel: how it is cut into calls, and what the kernel's answers mean.

use crate::packet::MAX_DATAGRAM;
use crate::session::Transmit;
use rustix::io::Errno;
use std::io;

/// A transmit, and how far it is.
///
/// Several datagrams go in one call where the kernel cuts them up (segmentation offload). Which cards and kernels cannot,
/// nobody knows before they have refused it; then the same datagrams go one by one, and none is lost.
pub(super) struct Outgoing {
    transmit: Transmit,
    /// How many of its bytes the kernel has, or will never have.
    done: usize,
    /// The kernel refused several together, with this.
    refused_together: Option<Errno>,
    /// The longest datagram that the kernel would not send for its length.
    too_long: Option<usize>,
    /// The kernel used a call to tell that nobody listens at the other end.
    unreachable: bool,
}

/// What is said to the kernel in one call.
pub(super) struct Call<'a> {
    /// What it belongs to.
    pub(super) transmit: &'a Transmit,
    /// One datagram or several.
    pub(super) bytes: &'a [u8],
    /// The length of each but the last, where there are several.
    pub(super) segment: Option<usize>,
}

/// Where a transmit ended up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The kernel has it, or has refused it for good.
    Done,
    /// The kernel has no room before the socket is writable again.
    AwaitsRoom,
    /// Something below the socket has no room, and nobody tells when it has.
    AwaitsTime,
}

/// What a socket can do with several datagrams at once.
pub(super) struct Offload {
    segments_max: usize,
    /// Why it is not done any more; nobody has been told yet.
    untold: Option<Errno>,
}

impl Outgoing {
    /// Nothing of it is sent yet.
    pub(super) fn new(transmit: Transmit) -> Self {
        Self { transmit, done: 0, refused_together: None, too_long: None, unreachable: false }
    }

    /// The transmit.
    pub(super) fn transmit(&self) -> &Transmit {
        &self.transmit
    }

    /// What waits for the kernel, in bytes.
    pub(super) fn remaining(&self) -> usize {
        self.transmit.bytes.len() - self.done
    }

    /// The longest datagram that was refused for its length.
    pub(super) fn too_long(&self) -> Option<usize> {
        self.too_long
    }

    /// Whether a call was answered with news that nobody listens at the other end.
    pub(super) fn met_unreachable(&self) -> bool {
        self.unreachable
    }

    /// Says to the kernel what is left, until it has all or has no room. What it refuses for good (no route, no permission)
    /// is lost as on any network.
    pub(super) fn send(
        &mut self,
        offload: &mut Offload,
        mut kernel: impl FnMut(Call<'_>) -> io::Result<()>,
    ) -> Progress {
        loop {
            let call = self.next_call(offload);
            let (length, is_batch) = (call.bytes.len(), call.segment.is_some());
            match kernel(call).map_err(|error| Errno::from_io_error(&error)) {
                Ok(()) => self.take_note_of_success(length, offload),
                Err(Some(Errno::AGAIN)) => return Progress::AwaitsRoom,
                Err(Some(Errno::NOBUFS | Errno::NOMEM)) => return Progress::AwaitsTime,
                Err(Some(error @ (Errno::IO | Errno::INVAL | Errno::MSGSIZE))) if is_batch => {
                    self.refused_together = Some(error);
                    continue;
                }
                Err(Some(Errno::MSGSIZE)) => self.too_long = self.too_long.max(Some(length)),
                // That was about an earlier datagram; this one was not looked at.
                Err(Some(Errno::CONNREFUSED)) if !self.unreachable => {
                    self.unreachable = true;
                    continue;
                }
                Err(_) => {}
            }
            self.done += length;
            if self.remaining() == 0 {
                return Progress::Done;
            }
        }
    }

    fn next_call(&self, offload: &Offload) -> Call<'_> {
        let rest = self.transmit.bytes.get(self.done..).unwrap_or_default();
        let segment = self.transmit.segment.unwrap_or(rest.len()).max(1);
        let count = if self.refused_together.is_some() { 1 } else { offload.batch(segment) };
        let bytes = rest.get(..count.saturating_mul(segment)).unwrap_or(rest);
        Call { transmit: &self.transmit, bytes, segment: (bytes.len() > segment).then_some(segment) }
    }

    /// A datagram that was refused with others passes alone: so it was the batch that displeased, not its length nor its
    /// destination. (The last one may be shorter than those that are too long.)
    fn take_note_of_success(&self, length: usize, offload: &mut Offload) {
        if let Some(error) = self.refused_together
            && Some(length) == self.transmit.segment
        {
            offload.give_up(error);
        }
    }
}

impl Offload {
    /// As many datagrams at once as the kernel promises; 1 for none.
    pub(super) fn new(segments_max: usize) -> Self {
        Self { segments_max, untold: None }
    }

    /// How many datagrams of this length go in one call.
    pub(super) fn batch(&self, length: usize) -> usize {
        self.segments_max.min(BATCH_BYTES_MAX / length).max(1)
    }

    /// From now on they go one by one; a socket that is opened later tries again.
    fn give_up(&mut self, error: Errno) {
        if self.segments_max > 1 {
            (self.segments_max, self.untold) = (1, Some(error));
        }
    }

    /// What a person should know, once.
    pub(super) fn poll_note(&mut self) -> Option<String> {
        let error = io::Error::from(self.untold.take()?);
        Some(format!(
            "this kernel or network card takes no packets in batches ({error}): they go one by one, which costs more \
             processor time"
        ))
    }
}

/// The kernel builds a batch as one datagram first, whose length is a field of 16 bits that counts the headers of IPv4 and UDP:
/// 65535 - 20 - 8. (IPv6 would take 20 bytes more.)
const BATCH_BYTES_MAX: usize = MAX_DATAGRAM;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Via;
    use std::collections::VecDeque;

    fn batch(count: usize, segment: usize, rest: usize) -> Outgoing {
        let bytes = (0..count * segment + rest).map(|at| at.to_le_bytes()[0]).collect();
        let to = ([127, 0, 0, 1], 7).into();
        Outgoing::new(Transmit { via: Via::socket(0), to, bytes, segment: Some(segment), is_markable: true })
    }

    /// A kernel that answers as told, and then takes all; it keeps what it took as (length, segment).
    #[derive(Default)]
    struct Kernel {
        answers: VecDeque<Errno>,
        taken: Vec<(usize, Option<usize>)>,
        bytes: Vec<u8>,
    }

    impl Kernel {
        fn call(&mut self, call: &Call<'_>) -> io::Result<()> {
            if let Some(answer) = self.answers.pop_front() {
                return Err(answer.into());
            }
            self.taken.push((call.bytes.len(), call.segment));
            self.bytes.extend(call.bytes);
            Ok(())
        }
    }

    #[test]
    fn a_transmit_is_cut_as_the_kernel_can_take_it() {
        let cases = [
            // count, segment, rest, segments_max, calls
            (1, 1472, 0, 64, vec![(1472, None)]),
            (1, 1472, 5, 64, vec![(1477, Some(1472))]),
            (3, 1472, 0, 1, vec![(1472, None); 3]),
            (5, 1000, 10, 2, vec![(2000, Some(1000)), (2000, Some(1000)), (1010, Some(1000))]),
            (50, 1472, 0, 64, vec![(44 * 1472, Some(1472)), (6 * 1472, Some(1472))]),
            (45, 1472, 0, 64, vec![(44 * 1472, Some(1472)), (1472, None)]),
            (3, 40_000, 0, 64, vec![(40_000, None); 3]),
            (0, 0, 0, 64, vec![(0, None)]),
        ];
        for (count, segment, rest, segments_max, calls) in cases {
            let mut outgoing = batch(count, segment, rest);
            let (mut kernel, mut offload) = (Kernel::default(), Offload::new(segments_max));
            assert_eq!(outgoing.send(&mut offload, |call| kernel.call(&call)), Progress::Done);
            assert_eq!(kernel.taken, calls, "{count} x {segment} + {rest}, {segments_max} at once");
            assert_eq!((kernel.bytes, outgoing.remaining()), (outgoing.transmit.bytes, 0));
        }
    }

    #[test]
    fn what_is_refused_together_goes_one_by_one_and_so_does_all_that_follows() {
        for error in [Errno::IO, Errno::INVAL, Errno::MSGSIZE] {
            let (mut kernel, mut offload) = (Kernel::default(), Offload::new(64));
            kernel.answers.push_back(error);
            let mut first = batch(3, 1472, 100);
            assert_eq!(first.send(&mut offload, |call| kernel.call(&call)), Progress::Done);
            assert_eq!(kernel.taken, [(1472, None), (1472, None), (1472, None), (100, None)]);
            assert_eq!((&kernel.bytes, first.too_long()), (&first.transmit.bytes, None), "no byte is lost");
            assert!(offload.poll_note().is_some_and(|note| note.contains("one by one")), "{error}");
            batch(2, 1472, 0).send(&mut offload, |call| kernel.call(&call));
            assert_eq!(kernel.taken.get(4..), Some(&[(1472, None), (1472, None)][..]));
            assert_eq!(offload.poll_note(), None, "it is said once");
        }
    }

    #[test]
    fn datagrams_that_are_too_long_are_told_and_stop_no_batches() {
        let (mut kernel, mut offload) = (Kernel::default(), Offload::new(64));
        kernel.answers.extend([Errno::MSGSIZE; 4]);
        let mut long = batch(3, 8972, 100);
        assert_eq!(long.send(&mut offload, |call| kernel.call(&call)), Progress::Done);
        assert_eq!((long.too_long(), kernel.taken.as_slice()), (Some(8972), &[(100, None)][..]));
        kernel.taken.clear();
        batch(3, 1472, 0).send(&mut offload, |call| kernel.call(&call));
        assert_eq!(kernel.taken, [(3 * 1472, Some(1472))]);
        assert_eq!(offload.poll_note(), None);
    }

    #[test]
    fn a_destination_that_is_invalid_stops_no_batches() {
        let (mut kernel, mut offload) = (Kernel::default(), Offload::new(64));
        kernel.answers.extend([Errno::INVAL; 4]);
        assert_eq!(batch(3, 1472, 0).send(&mut offload, |call| kernel.call(&call)), Progress::Done);
        assert!(kernel.taken.is_empty());
        batch(3, 1472, 0).send(&mut offload, |call| kernel.call(&call));
        assert_eq!(kernel.taken, [(3 * 1472, Some(1472))]);
    }

    #[test]
    fn a_full_kernel_gets_the_rest_later_and_nothing_twice() {
        for (error, progress) in [
            (Errno::AGAIN, Progress::AwaitsRoom),
            (Errno::NOBUFS, Progress::AwaitsTime),
            (Errno::NOMEM, Progress::AwaitsTime),
        ] {
            let (mut kernel, mut offload) = (Kernel::default(), Offload::new(2));
            let mut outgoing = batch(5, 1000, 0);
            let mut calls = 0;
            let first = outgoing.send(&mut offload, |call| {
                calls += 1;
                if calls == 2 { Err(error.into()) } else { kernel.call(&call) }
            });
            assert_eq!((first, outgoing.remaining()), (progress, 3000));
            assert_eq!(outgoing.send(&mut offload, |call| kernel.call(&call)), Progress::Done);
            assert_eq!(kernel.bytes, outgoing.transmit.bytes);
        }
    }

    #[test]
    fn news_of_an_earlier_datagram_costs_this_one_nothing() {
        let (mut kernel, mut offload) = (Kernel::default(), Offload::new(64));
        kernel.answers.push_back(Errno::CONNREFUSED);
        let mut outgoing = batch(3, 1472, 0);
        assert_eq!(outgoing.send(&mut offload, |call| kernel.call(&call)), Progress::Done);
        assert_eq!((kernel.bytes.len(), outgoing.met_unreachable()), (3 * 1472, true));
    }

    #[test]
    fn a_kernel_that_refuses_everything_gets_no_endless_calls() {
        for error in [Errno::CONNREFUSED, Errno::NETUNREACH, Errno::PERM, Errno::INVAL, Errno::MSGSIZE, Errno::IO] {
            let mut calls = 0;
            let progress = batch(50, 1472, 7).send(&mut Offload::new(64), |_| {
                calls += 1;
                Err(error.into())
            });
            assert_eq!(progress, Progress::Done);
            assert!(calls <= 53, "{error}: {calls}");
        }
    }
}
